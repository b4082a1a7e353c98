/**
 * The subscriptions of one connection, by the id that the client chose. An id is taken from the moment it is asked
 * for until its subscription has ended, clean-up included, so that one id never means two streams.
 */
import { TRPCError } from '@trpc/server'
import { SluiceError } from '../../shared/errors.ts'
import { countRefusal } from '../observe/counters.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { Replies } from '../procedures/replies.ts'
import type { Feeding } from '../topics/sink.ts'
import { ById } from './by-id.ts'
import {
  Subscription,
  type SubscriptionDeps,
  type SubscriptionOwner,
  type SubscriptionTask,
} from '../procedures/subscription.ts'

export class Subscriptions implements SubscriptionOwner {
  // Most connections have one: nothing is made for it.
  #only: Subscription | null = null
  #others: ById<Subscription> | null = null
  readonly #deps: SubscriptionDeps
  readonly #max: number
  readonly #owner: { freed(): void } | null
  #closed = false

  /** @param owner told when one has ended, and its id is free again. */
  constructor(deps: SubscriptionDeps, max: number, owner: { freed(): void } | null = null) {
    this.#deps = deps
    this.#max = max
    this.#owner = owner
  }

  get size(): number {
    return (this.#only ? 1 : 0) + (this.#others?.size ?? 0)
  }

  /**
   * Starts a subscription under an id.
   *
   * @throws TRPCError `BAD_REQUEST` when the id is in use; that subscription goes on.
   * @throws SluiceError `TOO_MANY_SUBSCRIPTIONS` at the limit.
   */
  start(id: RequestId, task: SubscriptionTask, replies: Replies): Subscription {
    if (this.#find(id)) throw new TRPCError({ code: 'BAD_REQUEST', message: `Duplicate id ${id}` })
    const { size } = this
    if (size >= this.#max) {
      countRefusal(this.#deps.counters, 'TOO_MANY_SUBSCRIPTIONS')
      throw new SluiceError(
        'TOO_MANY_SUBSCRIPTIONS',
        `This connection has ${size} subscriptions, which is the limit. End one first.`,
        { data: { limit: this.#max } },
      )
    }
    const subscription = new Subscription(id, task, replies, this.#deps, this)
    if (this.#only) (this.#others ??= new ById()).add(subscription)
    else this.#only = subscription
    if (this.#closed) subscription.stop()
    return subscription
  }

  /** Those that are pushed to. */
  *feeding(): Iterable<Feeding> {
    for (const { feeding } of this.#all()) if (feeding) yield feeding
  }

  /** Ends one. An id that is not in use is nothing to complain about: its stream may just have ended by itself. */
  stop(id: RequestId): void {
    this.#find(id)?.stop()
  }

  /** The consumer of one has taken so many events. Returns how many had been sent: none of one that has just ended. */
  grant(id: RequestId, events: number): number {
    return this.#find(id)?.grant(events) ?? 0
  }

  /** Ends all, and at once what is started later. */
  stopAll(): void {
    this.#closed = true
    for (const each of this.#all()) each.stop()
  }

  /** The same; settles when all have ended, or overstayed. */
  async close(): Promise<void> {
    this.stopAll()
    await Promise.all(this.#all().map(each => each.ended))
  }

  ended(subscription: Subscription): void {
    if (this.#only === subscription) this.#only = null
    else this.#others?.delete(subscription)
    this.#owner?.freed()
  }

  #all(): Subscription[] {
    return [...(this.#only ? [this.#only] : []), ...(this.#others?.values() ?? [])]
  }

  #find(id: RequestId): Subscription | undefined {
    return this.#only?.id === id ? this.#only : this.#others?.get(id)
  }
}
