/**
 * How long what a connection is known by holds. Some time before it runs out the peer is asked to say anew who it
 * is; when it has run out, the connection ends. Each new context brings an end of its own.
 */
import type { Clock, Timer } from '../../shared/clock.ts'
import { SluiceError } from '../../shared/errors.ts'

/** When a context runs out: milliseconds since the epoch, or a Date; null or undefined: never. */
export type ExpiresAt = (ctx: unknown) => number | Date | null | undefined

export interface ExpiryOptions {
  readonly expiresAt: ExpiresAt
  /** How long before its end a context is to be renewed, in milliseconds. */
  readonly renewBeforeMs: number
}

export class Expiry implements Disposable {
  readonly #options: ExpiryOptions
  readonly #clock: Clock
  readonly #peer: { renew(): void; expired(): void }
  #timer: Timer | null = null
  /** True once nobody is left to be asked. */
  #over = false

  constructor(options: ExpiryOptions, clock: Clock, peer: { renew(): void; expired(): void }) {
    this.#options = options
    this.#clock = clock
    this.#peer = peer
  }

  /** Takes the end of a context that was just made. @throws SluiceError `CONTEXT_EXPIRED` when it is over already. */
  follow(ctx: unknown): void {
    const { expiresAt, renewBeforeMs } = this.#options
    const endAt = Number(expiresAt(ctx) ?? Infinity)
    const now = this.#clock.now()
    // A date that is none never comes: the safe reading is that it is over. The context before goes on to its own end.
    if (!(endAt > now)) throw new SluiceError('CONTEXT_EXPIRED', 'What the client said it is has run out.')
    this.#timer?.cancel()
    // A context may be made for somebody who has left meanwhile.
    if (this.#over || endAt === Infinity) return
    // At half time at the earliest: a peer whose renewals win no time is asked ever more rarely, and not in a storm.
    this.#at(Math.max(endAt - renewBeforeMs, (now + endAt) / 2), () => {
      this.#peer.renew()
      this.#at(endAt, () => this.#peer.expired())
    })
  }

  [Symbol.dispose](): void {
    this.#over = true
    this.#timer?.cancel()
  }

  /** Timers are cut short at 24 days, hence the look at the clock. */
  #at(time: number, act: () => void): void {
    this.#timer = this.#clock.after(time - this.#clock.now(), () => {
      if (this.#clock.now() < time) this.#at(time, act)
      else act()
    })
  }
}
