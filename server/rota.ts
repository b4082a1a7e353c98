/**
 * One timer for all who wait equally long, in place of one for each (a timer with its callback: 500 B; Node 20). Who
 * began to wait first is the first whose time is up. The timer runs on when the last one has left, for the next one is
 * likely to come soon: it fires once more, and finds nobody.
 *
 * Those who wait are links of a ring themselves, and in no `Map`: who is heard from moves to the end, and nothing is made
 * for that. (A `Map` in which as many come as go is copied all the time, and copies that V8 has let grow old keep what is
 * in the later ones: of 30 µs that a short subscription takes, 2 went into collecting that; Node 20.)
 */
import { elapsedOf, type Clock, type Timer } from '../shared/clock.ts'

/** Who can wait, in one rota at a time. */
export class Waiting {
  /** When its time is up, while it waits. */
  until = 0
  /** Its neighbours; itself while it does not wait. */
  before: Waiting = this
  after: Waiting = this

  get waits(): boolean {
    return this.after !== this
  }

  waitNoLonger(): void {
    this.before.after = this.after
    this.after.before = this.before
    // Else those who have left would hold each other.
    this.before = this
    this.after = this
  }
}

export class Rota<Member extends Waiting> {
  readonly #ms: number
  readonly #clock: Clock
  readonly #due: (member: Member) => void
  readonly #now: () => number
  /** Stands between the last one and the first. */
  readonly #ring = new Waiting()
  #timer: Timer | null = null

  /** @param due called with each that has waited for so many milliseconds, and does not wait any more. */
  constructor(ms: number, clock: Clock, due: (member: Member) => void) {
    this.#ms = ms
    this.#clock = clock
    this.#due = due
    this.#now = elapsedOf(clock)
  }

  /** Begins to wait; anew, if it does so already, here or elsewhere. */
  add(member: Member): void {
    member.waitNoLonger()
    const ring = this.#ring
    member.until = this.#now() + this.#ms
    member.before = ring.before
    member.after = ring
    ring.before.after = member
    ring.before = member
    this.#arm()
  }

  #arm(): void {
    if (this.#timer || !this.#ring.waits) return
    const { until } = this.#ring.after
    this.#timer = this.#clock.after(Math.min(until - this.#now(), this.#ms), () => this.#fire())
  }

  #fire(): void {
    this.#timer = null
    const now = this.#now()
    const due: Waiting[] = []
    for (let one = this.#ring.after; one !== this.#ring; one = one.after) {
      // Nobody waits longer than that from now: the system clock was set back meanwhile.
      if (one.until > now + this.#ms) one.until = now + this.#ms
      else if (one.until > now) break
      else due.push(one)
    }
    for (const one of due) {
      // One of them may have sent another away.
      if (!one.waits || one.until > now) continue
      one.waitNoLonger()
      this.#due(one as Member) // only members are added
    }
    this.#arm()
  }
}
