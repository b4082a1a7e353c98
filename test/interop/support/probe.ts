/** Generators that can be watched: what was started, what is open, and how each ended. */

/** One generator's life, in order. */
export type ProbeEvent = 'called' | 'running' | 'aborted' | 'finally'

export class Probe {
  readonly log: ProbeEvent[] = []
  open = 0

  /** The life of a procedure's call: the signal is watched from the very start. */
  called(signal: AbortSignal | undefined): void {
    this.log.push('called')
    signal?.addEventListener('abort', () => this.log.push('aborted'), { once: true })
  }

  /** Marks the body of a generator; to be used with `using`. */
  enter(): Disposable {
    this.log.push('running')
    this.open += 1
    return {
      [Symbol.dispose]: () => {
        this.open -= 1
        this.log.push('finally')
      },
    }
  }
}
