import type { TrackedEnvelope } from '@trpc/server'
import '../../shared/scope.ts'
import { declarePosition } from './position.ts'
import { declareFeed } from './sink.ts'
import type { Subscriber } from './subscriber.ts'

/** What `subscribe` returns: an async iterable of tracked items, which ends by `return()`, by its signal, or by itself. */
export interface TopicStream<Item>
  extends AsyncIterableIterator<TrackedEnvelope<Item>, undefined, undefined>, AsyncDisposable {
  return(): Promise<IteratorReturnResult<undefined>>
}

/**
 * A subscriber as an async iterator.
 *
 * @param knowsPosition whether a client that has received nothing may resume from where the subscriber began; not so
 *   when its first item is a state that the client has yet to get.
 */
export function toStream<Item>(subscriber: Subscriber<Item>, knowsPosition: boolean): TopicStream<Item> {
  const stream = new SubscriberStream(subscriber)
  declareFeed(stream, sink => subscriber.feed(sink))
  if (knowsPosition) declarePosition(stream, () => subscriber.position())
  return stream
}

class SubscriberStream<Item> implements TopicStream<Item> {
  readonly #subscriber: Subscriber<Item>

  constructor(subscriber: Subscriber<Item>) {
    this.#subscriber = subscriber
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
