import type { Clock } from '../../shared/clock.ts'

/** A token bucket: so many at once, and so many per second in the long run. */
export class Rate {
  readonly #perMs: number
  readonly #burst: number
  readonly #clock: Clock
  #left: number
  #countedAt: number

  constructor(perSecond: number, burst: number, clock: Clock) {
    this.#perMs = perSecond / 1_000
    this.#burst = burst
    this.#clock = clock
    this.#left = burst
    this.#countedAt = clock.now()
  }

  /** Gives back what was taken for something that does not count after all. */
  giveBack(count: number): void {
    this.#left = Math.min(this.#burst, this.#left + count)
  }

  /** Takes so many; false when there are not as many left, and then none are taken. */
  take(count: number): boolean {
    const now = this.#clock.now()
    // A system clock may be set back.
    const gained = Math.max(0, now - this.#countedAt) * this.#perMs
    this.#countedAt = now
    this.#left = Math.min(this.#burst, this.#left + gained)
    if (this.#left < count) return false
    this.#left -= count
    return true
  }
}
