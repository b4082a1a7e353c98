import { elapsedOf, type Clock } from '../../shared/clock.ts'

/** So many at once, and so many per second in the long run: what all guests of one server are held to. */
export class RateLimit {
  readonly perMs: number
  readonly burst: number
  /** In milliseconds, from some moment on. */
  readonly now: () => number

  constructor(perSecond: number, burst: number, clock: Clock) {
    this.perMs = perSecond / 1_000
    this.burst = burst
    this.now = elapsedOf(clock)
  }
}

/** A token bucket: how much of its limit one guest has left. */
export class Rate {
  readonly #limit: RateLimit
  #left: number
  #countedAt: number

  constructor(limit: RateLimit) {
    this.#limit = limit
    this.#left = limit.burst
    this.#countedAt = limit.now()
  }

  /** Gives back what was taken for something that does not count after all. */
  giveBack(count: number): void {
    this.#left = Math.min(this.#limit.burst, this.#left + count)
  }

  /** Takes so many; false when there are not as many left, and then none are taken. */
  take(count: number): boolean {
    const { perMs, burst } = this.#limit
    const now = this.#limit.now()
    // A system clock may be set back.
    const gained = Math.max(0, now - this.#countedAt) * perMs
    this.#countedAt = now
    this.#left = Math.min(burst, this.#left + gained)
    if (this.#left < count) return false
    this.#left -= count
    return true
  }
}
