import '../../../shared/scope.ts'
import type { Clock, Timer } from '../../../shared/clock.ts'
import type { Store } from '../../stores/store.ts'

export interface LeaseOptions {
  readonly store: Store
  readonly name: string
  readonly owner: string
  /** It lapses so long after the last renewal that succeeded; renewed three times as often. */
  readonly ttlMs: number
  readonly clock: Clock
  /** Called once when somebody else has it, or when it could not be renewed for a whole lifetime. */
  readonly onLost: () => void
}

/** The sign that an owner lives: held and renewed until it is released. */
export class Lease implements AsyncDisposable {
  readonly #options: LeaseOptions
  #heldUntil: number
  #timer: Timer | null = null
  #released = false

  /** Takes the lease; `null` when another owner has it. */
  static async acquire(options: LeaseOptions): Promise<Lease | null> {
    const { store, name, owner, ttlMs } = options
    return (await store.acquireLease(name, owner, ttlMs)) ? new Lease(options) : null
  }

  private constructor(options: LeaseOptions) {
    this.#options = options
    this.#heldUntil = options.clock.now() + options.ttlMs
    this.#renewLater()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#released) return
    this.#stop()
    await this.#options.store.releaseLease(this.#options.name, this.#options.owner)
  }

  #renewLater(): void {
    const { clock, ttlMs } = this.#options
    this.#timer = clock.after(ttlMs / 3, () => void this.#renew())
  }

  async #renew(): Promise<void> {
    const { store, name, owner, ttlMs, clock, onLost } = this.#options
    const asked = clock.now()
    // A store that cannot be reached is no loss yet: the lease holds until its time has passed.
    const held = await store.acquireLease(name, owner, ttlMs).catch(() => null)
    if (this.#released) return
    if (held) this.#heldUntil = asked + ttlMs
    if (held === false || clock.now() >= this.#heldUntil) {
      this.#stop()
      onLost()
      return
    }
    this.#renewLater()
  }

  #stop(): void {
    this.#released = true
    this.#timer?.cancel()
  }
}
