/**
 * One leader among the tabs of a browser: whoever holds the Web Lock. The browser hands it to the next in line when the
 * tab that has it ends, however it ends. A page that is frozen, or busy for ever, keeps its lock and does nothing: then
 * another tab may take it by force, and the old leader is told when it wakes up.
 *
 *      idle ── stand ──▶ in line ── granted ──▶ leading ── taken by force ──▶ idle, and told so
 *       ▲                   │                      │
 *       └────── resign ─────┴──────────────────────┘
 */

export interface ElectionListener {
  /** This tab leads. */
  won(): void
  /** It does not lead any more: another tab has taken the lead by force. */
  deposed(): void
}

export class Election {
  readonly #name: string
  readonly #listener: ElectionListener
  /** Null while idle; aborted when it resigns. */
  #candidacy: AbortController | null = null

  /** @param name of the lock. */
  constructor(name: string, listener: ElectionListener) {
    this.#name = name
    this.#listener = listener
  }

  /** Gets in line. */
  stand(): void {
    this.#run(({ signal }) => ({ signal }))
  }

  /** Takes the lead from a tab that has it and does not answer. */
  takeOver(): void {
    this.#run(() => ({ steal: true })) // with which the browser takes no signal
  }

  /** Lets the next in line lead. */
  resign(): void {
    this.#candidacy?.abort()
    this.#candidacy = null
  }

  #run(how: (candidacy: AbortController) => LockOptions): void {
    this.resign()
    const candidacy = new AbortController()
    const { signal } = candidacy
    this.#candidacy = candidacy
    let led = false
    const lead = (): Promise<void> | void => {
      if (signal.aborted) return
      led = true
      this.#listener.won()
      return new Promise(end => signal.addEventListener('abort', () => end()))
    }
    navigator.locks.request(this.#name, how(candidacy), lead).catch(() => {
      if (signal.aborted) return
      this.#candidacy = null
      if (led) this.#listener.deposed()
      // A browser that refuses this page all locks refuses them to its other tabs, too: each is on its own.
      else this.#listener.won()
    })
  }
}
