/**
 * One timer for all who wait equally long, in place of one for each (a timer with its callback: 500 B; Node 20). Who
 * began to wait first is the first whose time is up. The timer runs on when the last one has left, for the next one is
 * likely to come soon: it fires once more, and finds nobody.
 */
import { elapsedOf, type Clock, type Timer } from '../shared/clock.ts'
import { Link, LinkedList } from './linked-list.ts'

/** Who can wait, in one rota at a time, until it is unlinked. */
export class Waiting extends Link {
  /** When its time is up, while it waits. */
  until = 0
}

export class Rota<Member extends Waiting> {
  readonly #ms: number
  readonly #clock: Clock
  readonly #due: (member: Member) => void
  readonly #now: () => number
  readonly #waiting = new LinkedList<Member>()
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
    member.until = this.#now() + this.#ms
    this.#waiting.add(member)
    this.#arm()
  }

  #arm(): void {
    const { first } = this.#waiting
    if (this.#timer || !first) return
    this.#timer = this.#clock.after(Math.min(first.until - this.#now(), this.#ms), () => this.#fire())
  }

  #fire(): void {
    this.#timer = null
    const now = this.#now()
    const due: Member[] = []
    for (const member of this.#waiting) {
      // Nobody waits longer than that from now: the system clock was set back meanwhile.
      if (member.until > now + this.#ms) member.until = now + this.#ms
      else if (member.until > now) break
      else due.push(member)
    }
    for (const member of due) {
      // One of them may have sent another away.
      if (!member.isLinked || member.until > now) continue
      member.unlink()
      this.#due(member)
    }
    this.#arm()
  }
}
