/**
 * A subscription folded into a value that changes at most once per frame. Events are folded as they come, so that a
 * page whose frames have stopped holds no backlog; what React sees is published by the frame. Knows nothing of React.
 */
import type { TRPCClientError } from '@trpc/client'
import type { AnyRouter } from '@trpc/server'
import type { Unsubscribable } from '@trpc/server/observable'
import { foldItem, isGap, isRunEnd, isSnapshot } from '../../shared/items.ts'
import type { Fold, Gap, Lag, RunOutcome } from '../../shared/items.ts'
import { contextOf } from '../subscriptions/consumer.ts'
import { readLag } from '../subscriptions/lag.ts'
import { FrameGate } from './frame.ts'

export type StreamStatus =
  /** Not wanted: no input yet, or not enabled. */
  | 'idle'
  /** For the first time. */
  | 'connecting'
  | 'live'
  /** The connection was lost, and comes back by itself; what was received stays. */
  | 'reconnecting'
  /** It came to its end; nothing more will come. */
  | 'done'
  /** It failed for good. */
  | 'error'

/** What there is to see at one moment; a new object with each change. */
export interface StreamSnapshot {
  readonly status: StreamStatus
  readonly state: unknown
  readonly events: readonly unknown[]
  readonly error: TRPCClientError<AnyRouter> | null
  readonly gap: Gap | null
  readonly end: RunOutcome | null
  readonly lag: Lag | null
}

/** Begins a subscription; the input is the store's own, with the cursor in it when it resumes. */
export type Subscribe = (input: unknown, observer: StreamObserver) => Unsubscribable

export interface StreamObserver {
  readonly context?: Record<string, unknown>
  onStarted(): void
  onData(received: unknown): void
  onError(error: TRPCClientError<AnyRouter>): void
  onComplete(): void
  onConnectionStateChange(state: { readonly state: 'idle' | 'connecting' | 'pending' }): void
}

export interface StreamStoreOptions {
  readonly fold: Fold<unknown, unknown> | undefined
  /** How many events are kept, where there is no fold. */
  readonly maxEvents: number
}

export class StreamStore {
  /** The latest of the component: a literal is a new object with each render. */
  #options: StreamStoreOptions

  // What has happened so far.
  #status: StreamStatus
  #state: unknown
  #events: unknown[] = []
  #error: TRPCClientError<AnyRouter> | null = null
  #gap: Gap | null = null
  #end: RunOutcome | null = null
  #lag: Lag | null = null
  #lastEventId: string | null = null

  // What is to be seen of it.
  #snapshot: StreamSnapshot
  readonly #initial: StreamSnapshot
  readonly #listeners = new Set<() => void>()
  readonly #gate = new FrameGate(() => this.#publish())

  constructor(options: StreamStoreOptions, enabled: boolean) {
    this.#options = options
    this.#status = enabled ? 'connecting' : 'idle'
    this.#state = options.fold?.initial
    this.#snapshot = this.#initial = this.#look()
  }

  // Functions of their own, as useSyncExternalStore wants them.
  readonly get = (): StreamSnapshot => this.#snapshot
  readonly getInitial = (): StreamSnapshot => this.#initial
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  configure(options: StreamStoreOptions): void {
    this.#options = options
  }

  /** A new one of the same kind, which has seen nothing. */
  reborn(): StreamStore {
    return new StreamStore(this.#options, this.#initial.status !== 'idle')
  }

  /**
   * Subscribes, and returns the end of it. Started again (strict mode mounts twice, a hidden part of a page comes
   * back), it goes on after the last event that had an id, and else begins afresh. What is done stays done.
   */
  start(subscribe: Subscribe, input: unknown, { lag = false } = {}): () => void {
    if (this.#status === 'done') return () => {}
    const resumed = this.#lastEventId === null ? null : withCursor(input, this.#lastEventId)
    if (resumed === null) this.#forget()
    this.#status = resumed === null ? 'connecting' : 'reconnecting'
    this.#error = null
    if (this.#snapshot.status !== this.#status) this.#publish() // no frame is worth waiting for here
    const subscription = subscribe(resumed ?? input, {
      ...this.#observe(),
      ...(lag && { context: contextOf({ onLag: said => this.#lags(readLag(said)) }) }),
    })
    return () => {
      subscription.unsubscribe()
      this.#gate.cancel()
      if (this.#status !== 'done' && this.#status !== 'error') this.#status = 'idle'
      this.#publish()
    }
  }

  #observe(): StreamObserver {
    return {
      onStarted: () => this.#change('live'),
      onData: received => this.#take(received),
      onError: error => {
        this.#error = error
        this.#change('error')
      },
      onComplete: () => this.#change('done'),
      onConnectionStateChange: ({ state }) => {
        if (state === 'connecting' && this.#status === 'live') this.#change('reconnecting')
      },
    }
  }

  #lags(lag: Lag): void {
    this.#lag = lag
    this.#gate.request()
  }

  #take(received: unknown): void {
    let item = received
    if (isTracked(received)) {
      this.#lastEventId = received.id
      item = received.data
    }
    if (isGap(item)) this.#gap = item
    else if (isRunEnd(item)) this.#end = item.outcome
    else if (this.#options.fold) this.#state = foldItem(this.#options.fold, this.#state, item)
    else this.#keep(received, isSnapshot(item))
    this.#change('live')
  }

  #keep(received: unknown, replacesAll: boolean): void {
    if (replacesAll) this.#events = []
    this.#events.push(received)
    // Cut back now and then, and not by one with each event: that would move the whole array each time.
    if (this.#events.length >= 2 * this.#options.maxEvents) this.#events = this.#latest()
  }

  #forget(): void {
    this.#state = this.#options.fold?.initial
    this.#events = []
    this.#error = this.#gap = this.#end = this.#lag = null
  }

  #change(status: StreamStatus): void {
    this.#status = status
    if (status !== 'error') this.#error = null
    this.#gate.request()
  }

  #publish(): void {
    this.#snapshot = this.#look()
    for (const listener of this.#listeners) listener()
  }

  #look(): StreamSnapshot {
    return {
      status: this.#status,
      state: this.#state,
      events: this.#latest(),
      error: this.#error,
      gap: this.#gap,
      end: this.#end,
      lag: this.#lag,
    }
  }

  #latest(): unknown[] {
    const { maxEvents } = this.#options
    return maxEvents > 0 ? this.#events.slice(-maxEvents) : []
  }
}

/** What tRPC makes of a `tracked()` value on the client: exactly these two members. */
function isTracked(received: unknown): received is { readonly id: string; readonly data: unknown } {
  if (typeof received !== 'object' || received === null) return false
  const { id } = received as { id?: unknown }
  return typeof id === 'string' && 'data' in received && Object.keys(received).length === 2
}

/** As tRPC's own links put a cursor into an input; null where it has no place for one. */
function withCursor(input: unknown, lastEventId: string): object | null {
  if (input === undefined || input === null) return { lastEventId }
  return typeof input === 'object' ? { ...input, lastEventId } : null
}
