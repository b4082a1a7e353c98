/**
 * The answers of one subscription in a response that ends with the first news, for a client to whom responses come
 * only when they are complete. News is what the client can go on from: an event with an id, the cursor at which a
 * subscription begins, or its end. A value without an id is none, for the response's end would end what yields it.
 */
import { isTrackedEnvelope } from '@trpc/server'
import type { TRPCErrorShape } from '@trpc/server/rpc'
import type { Lag } from '../../shared/items.ts'
import type { Batch, Replies } from '../procedures/replies.ts'

export class Polled implements Replies {
  readonly #replies: Replies
  readonly #resumed: boolean
  readonly #onNews: () => void

  /** @param resumed whether the client has told a cursor: that the subscription begins there is no news. */
  constructor(replies: Replies, resumed: boolean, onNews: () => void) {
    this.#replies = replies
    this.#resumed = resumed
    this.#onNews = onNews
  }

  started(position: string | null): void {
    this.#replies.started(position)
    if (position !== null && !this.#resumed) this.#onNews()
  }

  next(value: unknown): void {
    this.#replies.next(value)
    if (isTrackedEnvelope(value)) this.#onNews()
  }

  push(batch: Batch<unknown>): void {
    this.#replies.push(batch)
    this.#onNews()
  }

  lag(latest: () => Lag | null): Promise<void> {
    return this.#replies.lag(latest)
  }

  error(shape: TRPCErrorShape): void {
    this.#replies.error(shape)
    this.#onNews()
  }

  returned(): void {
    this.#replies.returned()
    this.#onNews()
  }

  stopped(): void {
    this.#replies.stopped()
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
}
