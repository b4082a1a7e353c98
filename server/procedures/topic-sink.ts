/** What a topic pushes to: the replies of one subscription, until one of its events cannot be encoded. */
import type { Counters } from '../observe/counters.ts'
import type { Feeding, Sink } from '../topics/sink.ts'
import type { Tally } from '../topics/tally.ts'
import type { Batch, Replies } from './replies.ts'

/** Whose topic it is. */
export interface SinkOwner {
  /** Nothing is taken any more; the feed ends by itself. */
  readonly stopped: boolean
  /** What its procedure was given to end the stream by, which it has no need of now. */
  readonly signal: AbortSignal | undefined
  /** Nothing is taken any more, for an event could not be encoded: the feed is to end. */
  sinkFailed(): void
  /** The feed has ended: with an error of its own, of encoding, or with none. */
  fed(failure: { readonly thrown: unknown; readonly of: 'source' | 'encoding' } | null): void
  /** Whom to ask how far behind it is. */
  fedBy(feeding: Feeding): void
}

/** A class, for an object with getters of its own has a shape of its own, too: 1,500 B each (Node 20). */
export class TopicSink implements Sink<unknown> {
  readonly #owner: SinkOwner
  readonly #replies: Replies
  readonly #counters: Counters
  /** Why nothing is taken any more. */
  #failure: { readonly thrown: unknown } | null = null

  constructor(owner: SinkOwner, replies: Replies, counters: Counters) {
    this.#owner = owner
    this.#replies = replies
    this.#counters = counters
  }

  get signal(): AbortSignal | undefined {
    return this.#owner.signal
  }

  get tally(): Tally {
    return this.#counters.tally
  }

  get room(): Promise<void> | null {
    return this.#replies.room
  }

  get outgoing(): Replies['outgoing'] {
    return this.#replies.outgoing
  }

  get capacity(): number {
    return this.#replies.capacity
  }

  push(batch: Batch<unknown>): void {
    if (this.#failure || this.#owner.stopped) return
    try {
      this.#push(batch)
    } catch (thrown) {
      this.#failure = { thrown }
      this.#owner.sinkFailed()
    }
  }

  fedBy(feeding: Feeding): void {
    this.#owner.fedBy(feeding)
  }

  ended(failure: { readonly thrown: unknown } | null): void {
    if (failure) this.#owner.fed({ ...failure, of: 'source' })
    else this.#owner.fed(this.#failure && { ...this.#failure, of: 'encoding' })
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
