/**
 * One leader among the tabs of a browser: whoever holds the Web Lock. The browser hands it to the next in line when the
 * tab that has it ends, however it ends. A page that is frozen, or busy for ever, keeps its lock and does nothing: then
 * another tab may take it by force, and the old leader is told when it wakes up.
 *
 *      idle ── stand ──▶ in line ── granted ──▶ leading ── taken by force ──▶ idle, and told so
 *       ▲                   │                      │
 *       └────── resign ─────┴──────────────────────┘
 */
import { sleep, type Clock } from '../../shared/clock.ts'

export interface ElectionOptions {
  /** Of the lock. */
  readonly name: string
  readonly clock: Clock
  /** How long a tab that has taken the lead by force has to make itself known, in milliseconds. */
  readonly settleMs: number
  /** This tab leads. */
  readonly won: () => void
  /** It does not lead any more: another tab has taken the lead by force. */
  readonly deposed: () => void
}

export class Election {
  readonly #options: ElectionOptions
  /** Null while idle; aborted when it resigns. */
  #candidacy: AbortController | null = null
  #leads = false

  constructor(options: ElectionOptions) {
    this.#options = options
  }

  /** Gets in line. */
  stand(): void {
    this.#run(({ signal }) => ({ signal }))
  }

  /** Takes the lead from a tab that has it and does not answer; of those who try in the same moment, one does. */
  takeOver(): void {
    const { name, clock, settleMs } = this.#options
    const alone = (lock: Lock | null): Promise<void> | void => {
      if (!lock || this.#leads || !this.#candidacy) return
      this.#run(() => ({ steal: true })) // with which the browser takes no signal
      return sleep(clock, settleMs)
    }
    const taken = navigator.locks.request(`${name} take-over`, { ifAvailable: true }, alone)
    taken.catch(() => {}) // no lock, no force: whoever waits for a leader tries again
  }

  /** Lets the next in line lead. */
  resign(): void {
    this.#candidacy?.abort()
    this.#candidacy = null
    this.#leads = false
  }

  #run(how: (candidacy: AbortController) => LockOptions): void {
    const { name, won, deposed } = this.#options
    this.resign()
    const candidacy = new AbortController()
    const { signal } = candidacy
    this.#candidacy = candidacy
    const lead = (): Promise<void> | void => {
      if (signal.aborted) return
      this.#leads = true
      won()
      return new Promise(end => signal.addEventListener('abort', () => end()))
    }
    navigator.locks.request(name, how(candidacy), lead).catch(() => {
      if (signal.aborted) return
      // A browser that refuses this page all locks refuses them to its other tabs, too: each is on its own.
      if (!this.#leads) return won()
      this.resign()
      deposed()
    })
  }
}
