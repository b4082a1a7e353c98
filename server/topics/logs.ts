/**
 * The logs of one topic that are in use on this node: a hub for each, from its first subscriber until a while after
 * its last.
 */
import type { Clock, Timer } from '../../shared/clock.ts'
import { toError } from '../../shared/errors.ts'
import type { Fold } from '../../shared/items.ts'
import type { Epoch, Offset } from '../../shared/protocol/cursor.ts'
import type { Retention, Store, StoredRecord } from '../stores/store.ts'
import { Hub } from './hub.ts'
import { Log } from './log.ts'
import { Folding } from './snapshot.ts'
import { SubscriberStream } from './stream.ts'
import type { TopicStream } from './stream.ts'
import { Subscriber, type SubscribedLog } from './subscriber.ts'
import type { GapPolicy } from './reader.ts'
import { checkWhenSlow } from './when-slow.ts'
import type { WhenSlow } from './when-slow.ts'

export interface LogsOptions<Item> {
  readonly topic: string
  readonly store: Store
  readonly decode: (payload: Uint8Array) => Item | null
  /** An item after which a log has no other; `null` for logs without end. */
  readonly isLast: ((item: Item) => boolean) | null
  readonly fold: Fold<Item, unknown> | undefined
  readonly retain: Retention | undefined
  readonly onGap: GapPolicy
  readonly ringSize: number
  readonly ringBytes: number
  readonly lingerMs: number
  readonly checkpointEvery: number
  readonly clock: Clock
  readonly onError: (error: Error) => void
  /** Called when a key comes into use on this node; what it returns, when it no longer is. */
  readonly onUse?: (key: string) => () => void
}

export interface LogSubscription<Item> {
  readonly after?: string | undefined
  readonly from?: 'start' | 'end'
  readonly signal?: AbortSignal | undefined
  readonly filter?: (item: Item) => boolean
  readonly whenSlow?: WhenSlow<Item>
}

interface LogInUse<Item> extends SubscribedLog<Item> {
  readonly leave: () => void
  users: number
  linger: Timer | null
}

export class Logs<Item> {
  readonly #options: LogsOptions<Item>
  readonly #inUse = new Map<string, LogInUse<Item>>()

  constructor(options: LogsOptions<Item>) {
    this.#options = options
  }

  /** @throws SluiceError `KEY_INVALID`, at once; everything else comes from the iteration. */
  subscribe(key: string, subscription: LogSubscription<Item>): TopicStream<Item> {
    const { after, from = 'end', signal, filter, whenSlow = 'wait' } = subscription
    checkWhenSlow(whenSlow)
    const options = { after, from, filter, whenSlow, signal }
    return new SubscriberStream(new Subscriber(this.#acquire(key), options))
  }

  /** Tells the subscribers here what this process has appended. */
  offer(key: string, epoch: Epoch, record: StoredRecord): void {
    this.#inUse.get(key)?.hub.offer(epoch, record)
  }

  /** Saves the folded state in the background, if it is time to. */
  checkpoint(key: string, offset: Offset): void {
    const log = this.#acquire(key)
    Promise.resolve(log.folding?.checkpoint(offset))
      .catch(thrown => this.#options.onError(toError(thrown)))
      .finally(() => log.release())
  }

  #acquire(key: string): LogInUse<Item> {
    let inUse = this.#inUse.get(key)
    // A hub that failed serves nobody any more; whoever still holds it is being told.
    if (!inUse || inUse.hub.failure) {
      inUse = this.#open(key)
      this.#inUse.set(key, inUse)
    }
    inUse.users++
    inUse.linger?.cancel()
    inUse.linger = null
    return inUse
  }

  #open(key: string): LogInUse<Item> {
    const {
      topic,
      store,
      decode,
      ringSize,
      ringBytes,
      clock,
      onError,
      fold,
      isLast,
      checkpointEvery,
      retain,
      onGap,
    } = this.#options
    const hub = new Hub<Item>({
      log: new Log(store, topic, key),
      decode,
      ringSize,
      ringBytes,
      clock,
      onError,
    })
    const folding = fold ? new Folding(hub, { fold, isLast, checkpointEvery, retain }) : null
    const leave = this.#options.onUse?.(key) ?? (() => {})
    const release = () => this.#release(key, inUse)
    const inUse: LogInUse<Item> = {
      hub,
      folding,
      onGap,
      isLast,
      clock,
      release,
      leave,
      users: 0,
      linger: null,
    }
    return inUse
  }

  #release(key: string, inUse: LogInUse<Item>): void {
    if (--inUse.users > 0) return
    const close = () => {
      // One that has failed may have been replaced.
      if (this.#inUse.get(key) === inUse) this.#inUse.delete(key)
      inUse.leave()
      inUse.hub.close()
    }
    if (inUse.hub.failure) close()
    else inUse.linger = this.#options.clock.after(this.#options.lingerMs, close)
  }
}
