/** Who may connect while there is room: connections in all, and per address. */
import type { SluiceErrorCode } from '../../shared/errors.ts'
import type { Limits } from './limits.ts'

export class Admission {
  readonly #limits: Limits
  readonly #byAddress = new Map<string, number>()
  #all = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /**
   * Why one more connection is not taken; null if it is.
   *
   * @param address null for one that is not counted by address.
   */
  refusal(address: string | null): SluiceErrorCode | null {
    if (this.#all >= this.#limits.maxConnections) return 'SERVER_FULL'
    if (address === null) return null
    const held = this.#byAddress.get(address) ?? 0
    return held >= this.#limits.maxConnectionsPerAddress ? 'TOO_MANY_CONNECTIONS' : null
  }

  /** One more, or one less. */
  count(address: string | null, change: 1 | -1): void {
    this.#all += change
    if (address === null) return
    const held = (this.#byAddress.get(address) ?? 0) + change
    if (held === 0) this.#byAddress.delete(address)
    else this.#byAddress.set(address, held)
  }
}
