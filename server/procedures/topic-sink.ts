/** What a topic pushes to: the replies of one subscription, until one of its events cannot be encoded. */
import type { Counters } from '../observe/counters.ts'
import type { Feeding, Sink, Tally } from '../topics/sink.ts'
import type { Batch, Replies } from './replies.ts'

export interface SinkCallbacks {
  /** Called when nothing is taken any more; not so after the signal, which tells both sides. */
  end(): void
  /** Keeps an eye on how far behind it is, until it is disposed of; null where nobody wants to know. */
  readonly watch: ((feeding: Feeding) => Disposable) | null
}

/** A class, for an object with getters of its own has a shape of its own, too: 1,500 B each (Node 20). */
export class TopicSink implements Sink<unknown>, Disposable {
  /** Why nothing is taken any more. */
  failure: { readonly thrown: unknown } | null = null
  readonly #replies: Replies
  readonly #counters: Counters
  readonly #signal: AbortSignal
  readonly #callbacks: SinkCallbacks
  #watching: Disposable | null = null

  constructor(replies: Replies, counters: Counters, signal: AbortSignal, callbacks: SinkCallbacks) {
    this.#replies = replies
    this.#counters = counters
    this.#signal = signal
    this.#callbacks = callbacks
  }

  get tally(): Tally {
    return this.#counters.tally
  }

  get room(): Promise<void> | null {
    return this.#replies.room
  }

  get capacity(): number {
    return this.#replies.capacity
  }

  push(batch: Batch<unknown>): void {
    if (this.failure || this.#signal.aborted) return
    try {
      this.#push(batch)
    } catch (thrown) {
      this.failure = { thrown }
      this.#callbacks.end()
    }
  }

  fedBy(feeding: Feeding): void {
    this.#watching = this.#callbacks.watch?.(feeding) ?? null
  }

  [Symbol.dispose](): void {
    this.#watching?.[Symbol.dispose]()
  }

  #push(batch: Batch<unknown>): void {
    try {
      this.#replies.push(batch)
      this.#counters.eventsOut += batch.envelopes.length
    } catch {
      // One of them cannot be encoded: those before it still go out, and the one itself throws again.
      for (const envelope of batch.envelopes) {
        this.#replies.next(envelope)
        this.#counters.eventsOut += 1
      }
    }
  }
}
