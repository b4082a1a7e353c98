/**
 * Mutations that are sent whatever becomes of the connection: kept until they are answered, sent in order, one at a
 * time, each under an idempotency key of its own, so that one whose answer was lost can be sent again and yet runs
 * once (on a server whose procedure uses `idempotent()`).
 *
 *     queued ──▶ sending ──▶ answered: gone, and whoever waits has the answer
 *       ▲           │  └───▶ refused:  gone, or `failed` where nobody waits for it any more
 *       └───────────┘ not answered: again after a while
 */
import { TRPCClientError } from '@trpc/client'
import type { Operation } from '@trpc/client'
import type { AnyRouter } from '@trpc/server'
import { SluiceError, toError } from '../../shared/errors.ts'
import { isOwnBody } from '../own-body.ts'
import type { ResultObserver } from '../subscriptions/subscription.ts'
import type { ClientError } from '../transports/transport.ts'
import { lengthOf, toEntry, toItem, untried, type Item, type OutboxEntry } from './item.ts'
import { Sending } from './sending.ts'
import {
  memoryOutboxStorage,
  watchStorage,
  type OutboxStorage,
  type StoredMutation,
  type WatchedStorage,
} from './storage.ts'
import { Tenure, type OutboxRoute } from './tenure.ts'

export interface OutboxOptions {
  /** Default: memory. In a page, `indexedDbOutboxStorage()` survives a reload. */
  readonly storage?: OutboxStorage
  /** Which mutations go through it; default all. The others are sent as without an outbox. */
  readonly accepts?: (mutation: { readonly path: string; readonly input: unknown }) => boolean
  /** The most that may wait; one more is refused with `OUTBOX_FULL`. Default 1,000. */
  readonly maxMutations?: number
  /** What they may amount to as JSON, in characters; then as above. Default 4 Mi. */
  readonly maxLength?: number
  /** How long one may wait, in milliseconds; then it fails with `OUTBOX_EXPIRED`. Default: seven days. */
  readonly expireAfterMs?: number
}

/**
 * An outbox for `sluiceLink({ outbox })`. Mutations then settle when they were answered, however long that takes.
 *
 * @example
 * ```ts
 * const outbox = createOutbox({ storage: indexedDbOutboxStorage() })
 * const link = sluiceLink<AppRouter>({ url: '/trpc', outbox })
 * ```
 */
export function createOutbox(options: OutboxOptions = {}): Outbox {
  return new Outbox(options)
}

export class Outbox {
  readonly #storage: WatchedStorage
  readonly #options: Required<Omit<OutboxOptions, 'storage'>>
  /** Null until a link has it, and again when that is closed. */
  #tenure: Tenure | null = null

  #items: Item[] = []
  /** Null until somebody looks: a thousand entries are not to be copied for each change. */
  #view: readonly OutboxEntry[] | null = null
  readonly #listeners = new Set<() => void>()
  #lastNumber = 0

  readonly #sending = new Sending({
    mark: (item, status, error) => this.#mark(item, status, error),
    settle: (item, tell) => this.#settle(item, tell),
    onFree: () => this.#pump(),
  })

  /** Use `createOutbox`. */
  constructor(options: OutboxOptions) {
    const { storage = memoryOutboxStorage(), accepts = () => true } = options
    const { maxMutations = 1_000, maxLength = 4 * 1024 * 1024, expireAfterMs = 7 * 24 * 3_600_000 } = options
    this.#storage = watchStorage(storage)
    this.#options = { accepts, maxMutations, maxLength, expireAfterMs }
  }

  /** What has not been answered, oldest first: the same array until something changes. */
  readonly get = (): readonly OutboxEntry[] => (this.#view ??= this.#items.map(toEntry))

  /** Calls `listener` after each change; returns its removal. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Tries what waits at once; with an id, also sends that one again, under the same key, though it has failed. */
  readonly retry = (id?: string): void => {
    const item = this.#items.find(({ stored }) => stored.id === id)
    if (item?.status === 'failed') this.#mark(item, 'queued')
    this.#sending.hurry()
    this.#pump()
  }

  /**
   * Takes one back. What was handed to the link, now or in an earlier try, may happen or have happened all the same:
   * who waits for it is told `OUTCOME_UNKNOWN`; else `OUTBOX_CANCELLED`.
   */
  readonly cancel = (id: string): void => {
    const item = this.#items.find(({ stored }) => stored.id === id)
    if (!item) return
    if (this.#sending.sends(item)) this.#sending.withdraw()
    this.#fail(item, item.sent ? 'OUTCOME_UNKNOWN' : 'OUTBOX_CANCELLED', 'was cancelled')
    this.#pump()
  }

  /** For the link that it is given to. @throws Error when another link has it. */
  attach(route: OutboxRoute): void {
    if (this.#tenure) throw new Error('This outbox has a link already. Make one for each.')
    this.#tenure = new Tenure({
      route,
      storage: this.#storage,
      adopt: left => this.#adopt(left, route),
      onError: thrown => this.#report(thrown),
    })
  }

  /** For the link: it is closed. Who waits is told so; what is kept will be sent by the next link, or another page. */
  detach(route: OutboxRoute, error: ClientError): void {
    const tenure = this.#tenure
    if (tenure?.route !== route) return
    this.#sending.stop()
    this.#tenure = null
    tenure.end()
    const items = this.#items
    this.#items = []
    for (const item of items) this.#tell(item, observer => observer.error(error))
    this.#changed()
  }

  /** For the link. A body that is read once cannot be sent again. */
  accepts({ type, path, input }: Operation): boolean {
    return type === 'mutation' && !isOwnBody(input) && this.#options.accepts({ path, input })
  }

  /**
   * For the link: takes a mutation in, and returns its withdrawal, which cancels it while it is in the queue, or not
   * sent yet.
   *
   * @throws SluiceError `OUTBOX_FULL`, and whatever the transformer throws.
   */
  add({ path, input }: Operation, observer: ResultObserver, route: OutboxRoute): () => void {
    const id = crypto.randomUUID()
    const length = lengthOf(input, route.options)
    this.#checkRoom(length)
    if (!this.#tenure) throw new Error('This outbox has no link.') // the transformer has closed it
    const { owner } = this.#tenure
    const at = route.options.clock.now()
    const stored = { id, path, input, at, owner, number: ++this.#lastNumber }
    const item: Item = { ...untried, stored, length, kept: false, observer }
    this.#items.push(item)
    this.#changed()
    void this.#keep(item)
    return () => {
      item.observer = null
      if (item.status === 'queued' || !item.sent) this.cancel(id)
    }
  }

  #checkRoom(length: number): void {
    const { maxMutations, maxLength } = this.#options
    const total = this.#items.reduce((sum, item) => sum + item.length, length)
    if (this.#items.length < maxMutations && total <= maxLength) return
    const message = `${this.#items.length} mutations wait to be sent, and there is no room for this one.`
    throw new SluiceError('OUTBOX_FULL', message, { data: { waiting: this.#items.length } })
  }

  async #keep(item: Item): Promise<void> {
    try {
      await this.#storage.put(item.stored)
      item.kept = true
      this.#changed()
    } catch (thrown) {
      this.#settle(item, observer => observer.error(TRPCClientError.from(toError(thrown))))
    }
    if (item.settled) this.#discard(item) // not before: it would have been written after that
    this.#pump()
  }

  /** What earlier pages have left behind is older than what waits here. */
  #adopt(left: readonly StoredMutation[], { options }: OutboxRoute): void {
    if (left.length > 0) {
      this.#items = [...left.map(stored => toItem(stored, options)), ...this.#items]
      this.#changed()
    }
    this.#pump()
  }

  /** Sends the first that may be sent. */
  #pump(): void {
    // Until what was left behind has been looked for, nothing goes: it would overtake that.
    if (!this.#tenure?.looked || this.#sending.busy) return
    const { route } = this.#tenure
    const item = this.#items.find(({ status }) => status === 'queued')
    if (!item?.kept) return
    if (route.options.clock.now() - item.stored.at >= this.#options.expireAfterMs) {
      this.#fail(item, 'OUTBOX_EXPIRED', 'could not be sent in time')
      return this.#pump()
    }
    this.#sending.start(item, route)
  }

  /** It will not be sent: who waits for it is told; else it stays to be seen, unless it was taken back. */
  #fail(item: Item, code: 'OUTCOME_UNKNOWN' | 'OUTBOX_CANCELLED' | 'OUTBOX_EXPIRED', what: string): void {
    const error = TRPCClientError.from<AnyRouter>(
      new SluiceError(code, `"${item.stored.path}" ${what}.`, { data: { path: item.stored.path } }),
    )
    if (item.observer || code !== 'OUTBOX_EXPIRED')
      return this.#settle(item, observer => observer.error(error))
    this.#mark(item, 'failed', error)
  }

  /** It is done with, and forgotten. */
  #settle(item: Item, tell: (observer: ResultObserver) => void): void {
    this.#items = this.#items.filter(other => other !== item)
    item.settled = true
    if (item.kept) this.#discard(item)
    this.#changed()
    this.#tell(item, tell)
  }

  #discard({ stored }: Item): void {
    this.#storage.delete(stored.id).catch((thrown: unknown) => this.#report(thrown))
  }

  #tell({ observer }: Item, tell: (observer: ResultObserver) => void): void {
    try {
      if (observer) tell(observer)
    } catch (thrown) {
      this.#report(thrown) // the application's own
    }
  }

  #mark(item: Item, status: Item['status'], error: ClientError | null = null): void {
    item.status = status
    item.error = error
    this.#changed()
  }

  #changed(): void {
    this.#view = null
    for (const listener of this.#listeners) {
      try {
        listener()
      } catch (thrown) {
        this.#report(thrown) // the application's own
      }
    }
  }

  #report(thrown: unknown): void {
    const error = toError(thrown)
    if (this.#tenure) this.#tenure.route.options.onError(error)
    else console.error('[sluice]', error)
  }
}
