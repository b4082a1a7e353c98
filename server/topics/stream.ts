import type { TrackedEnvelope } from '@trpc/server'
import '../../shared/scope.ts'
import { begins } from './position.ts'
import { feeds, type Feed } from './sink.ts'
import type { Subscriber } from './subscriber.ts'

/** What `subscribe` returns: an async iterable of tracked items, which ends by `return()`, by its signal, or by itself. */
export interface TopicStream<Item>
  extends AsyncIterableIterator<TrackedEnvelope<Item>, undefined, undefined>, AsyncDisposable {
  return(): Promise<IteratorReturnResult<undefined>>
}

/** A subscriber as an async iterator. */
export class SubscriberStream<Item> implements TopicStream<Item> {
  readonly #subscriber: Subscriber<Item>

  constructor(subscriber: Subscriber<Item>) {
    this.#subscriber = subscriber
  }

  // Methods, and no entries in two WeakMaps: those took 220 B for each stream (Node 20).
  [feeds](): Feed | null {
    return #subscriber in this ? sink => this.#subscriber.feed(sink) : null
  }

  [begins](): Promise<string> | null {
    return #subscriber in this ? this.#subscriber.position() : null
  }

  next(): Promise<IteratorResult<TrackedEnvelope<Item>, undefined>> {
    // Gaps and snapshots are part of Item for the caller who asked for them.
    return this.#subscriber.next() as Promise<IteratorResult<TrackedEnvelope<Item>, undefined>>
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    return this.#subscriber.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subscriber.return()
  }
}
