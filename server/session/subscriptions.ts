/**
 * The subscriptions of one connection, by the id that the client chose. An id is taken from the moment it is asked
 * for until its subscription has ended, clean-up included, so that one id never means two streams.
 */
import { TRPCError } from '@trpc/server'
import { SluiceError } from '../../shared/errors.ts'
import { countRefusal } from '../observe/counters.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { Replies } from '../procedures/replies.ts'
import { Subscription, type SubscriptionDeps, type SubscriptionTask } from '../procedures/subscription.ts'

export class Subscriptions implements AsyncDisposable {
  readonly #running = new Map<RequestId, Subscription>()
  readonly #deps: SubscriptionDeps
  readonly #max: number
  readonly #onEnd: (id: RequestId) => void
  #closed = false

  /** @param onEnd called when one has ended, and its id is free again. */
  constructor(deps: SubscriptionDeps, max: number, onEnd: (id: RequestId) => void = () => {}) {
    this.#deps = deps
    this.#max = max
    this.#onEnd = onEnd
  }

  get size(): number {
    return this.#running.size
  }

  /**
   * Starts a subscription under an id.
   *
   * @throws TRPCError `BAD_REQUEST` when the id is in use; that subscription goes on.
   * @throws SluiceError `TOO_MANY_SUBSCRIPTIONS` at the limit.
   */
  start(id: RequestId, task: SubscriptionTask, replies: Replies): Subscription {
    if (this.#running.has(id)) throw new TRPCError({ code: 'BAD_REQUEST', message: `Duplicate id ${id}` })
    if (this.#running.size >= this.#max) {
      countRefusal(this.#deps.counters, 'TOO_MANY_SUBSCRIPTIONS')
      throw new SluiceError(
        'TOO_MANY_SUBSCRIPTIONS',
        `This connection has ${this.#running.size} subscriptions, which is the limit. End one first.`,
        { data: { limit: this.#max } },
      )
    }
    const subscription = new Subscription(task, replies, this.#deps, () => this.#free(id))
    this.#running.set(id, subscription)
    if (this.#closed) subscription.stop()
    return subscription
  }

  /** Ends one. An id that is not in use is nothing to complain about: its stream may just have ended by itself. */
  stop(id: RequestId): void {
    this.#running.get(id)?.stop()
  }

  /** Ends all; settles when all have ended, or overstayed. What is started later is ended at once. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(Array.from(this.#running.values(), running => running[Symbol.asyncDispose]()))
  }

  #free(id: RequestId): void {
    this.#running.delete(id)
    this.#onEnd(id)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
