import { useCallback, useEffect, useState, useSyncExternalStore } from 'react'
import type { TRPCClientError } from '@trpc/client'
import type { AnyRouter } from '@trpc/server'
import type { Unsubscribable } from '@trpc/server/observable'
import type { Fold, Gap, Lag, RunOutcome } from '../../shared/items.ts'
import type { EventOf, InputOf, SubscriptionProcedure } from '../subscriptions/iterate.ts'
import { toInputKey } from './input-key.ts'
import { StreamStore, type StreamObserver, type StreamStatus } from './stream-store.ts'

/** In place of an input: not yet. That of `@tanstack/react-query` does the same. */
export const skipToken: unique symbol = Symbol('skip')

export interface UseStreamOptions {
  /** False: do not subscribe; what was received stays. Default true. */
  readonly enabled?: boolean
  /** How many events `events` holds, the latest; default 1,000. Without effect where there is a `fold`. */
  readonly maxEvents?: number
  /** Whether to ask the server how far behind the stream is: see `lag`. Default false. */
  readonly lag?: boolean
}

interface Stream<Received> {
  readonly status: StreamStatus
  /** Why it failed for good, while `status` is `error`. */
  readonly error: TRPCClientError<AnyRouter> | null
  /** Events that were lost for this client, if any: the last such place. */
  readonly gap: Gap | null
  /** How far behind its log it is, as the server last said; null until it does, and without the option `lag`. */
  readonly lag: Lag | null
  /** How the run ended, where it is one. */
  readonly end: OutcomeIn<Received> | null
  /** Forgets everything and subscribes anew. */
  readonly reset: () => void
}

/** The stream as the latest of its events, as received: `{ id, data }` where they have ids. */
export interface EventsStream<Received> extends Stream<Received> {
  readonly events: readonly Kept<Received>[]
}

/** The stream as one value: every event folded into it. */
export interface FoldedStream<Received, State> extends Stream<Received> {
  readonly state: State
}

/** What tRPC makes of a `tracked()` value: an id and a payload, and nothing beside them. */
type PayloadOf<Received> = Received extends { readonly id: string; readonly data: infer Payload }
  ? [keyof Received] extends ['id' | 'data']
    ? Payload
    : Received
  : Received
/** What the server tells beside its events. */
type Marked<Mark extends string> = { readonly $sluice: Mark }
type EventIn<Received> = Exclude<PayloadOf<Received>, Marked<string>>
type OutcomeIn<Received> =
  Extract<PayloadOf<Received>, Marked<'end'>> extends { readonly outcome: infer Outcome }
    ? Outcome
    : RunOutcome
/** What is kept of what was received: gaps and the end have places of their own. */
type Kept<Received> =
  PayloadOf<Received> extends Received
    ? Exclude<Received, Marked<'gap' | 'end'>>
    : { readonly id: string; readonly data: Exclude<PayloadOf<Received>, Marked<'gap' | 'end'>> }

/**
 * Subscribes while the component is mounted. Events are folded as they come and rendered at most once per frame, so
 * that a replay of thousands is a render or two. A lost connection is `reconnecting`, and what was received stays; it
 * goes on after the last event. Another input (compared by value) is another stream, and begins empty.
 *
 * On the server it renders as it does before the first event, and subscribes to nothing.
 *
 * @param procedure a subscription of `createTRPCClient`, whose link is a `sluiceLink` or one of tRPC's own.
 * @param input what the procedure takes, or `skipToken`.
 * @param options.fold a reducer, best the very one that the topic has on the server; its `step` may be a new function
 *   with each render. Without it, the events themselves are kept.
 * @example
 * ```tsx
 * const { state: text, status } = useStream(client.answer.attach, { id }, { fold: textFold })
 * const { events } = useStream(client.onRoom, room ? { room } : skipToken, { maxEvents: 200 })
 * ```
 */
export function useStream<P extends SubscriptionProcedure, State>(
  procedure: P,
  input: InputOf<P> | symbol,
  options: UseStreamOptions & { readonly fold: Fold<EventIn<EventOf<P>>, State> },
): FoldedStream<EventOf<P>, State>
export function useStream<P extends SubscriptionProcedure>(
  procedure: P,
  input: InputOf<P> | symbol,
  options?: UseStreamOptions,
): EventsStream<EventOf<P>>
export function useStream(
  procedure: SubscriptionProcedure,
  input: unknown,
  options: UseStreamOptions & { readonly fold?: unknown } = {},
): unknown {
  const enabled = options.enabled !== false && typeof input !== 'symbol'
  // The overloads have seen to it that the fold takes what the procedure delivers.
  const storeOptions = {
    fold: options.fold as Fold<unknown, unknown> | undefined,
    maxEvents: options.maxEvents ?? 1_000,
  }
  const { lag = false } = options
  const key = typeof input === 'symbol' ? null : toInputKey(input)

  const create = () => ({ procedure, key, input, store: new StreamStore(storeOptions, enabled) })
  const [held, setHeld] = useState(create)
  let current = held
  if (held.procedure !== procedure || held.key !== key) {
    // While rendering, so that no frame shows the events of one room under the name of another.
    current = create()
    setHeld(current)
  }
  const { store } = current

  useEffect(() => {
    store.configure(storeOptions)
  })
  const inputInUse = current.input // the same for as long as the store is, whatever literals the renders bring
  useEffect(() => {
    if (!enabled) return
    const { subscribe } = bound(procedure)
    return store.start(subscribe, inputInUse, { lag })
  }, [store, enabled, procedure, inputInUse, lag])

  const reset = useCallback(() => {
    setHeld(held => ({ ...held, store: held.store.reborn() }))
  }, [])
  const snapshot = useSyncExternalStore(store.subscribe, store.get, store.getInitial)
  return { ...snapshot, reset }
}

/** The procedure by the method that is used, as the store wants it. */
function bound(procedure: SubscriptionProcedure) {
  const typed = procedure as { subscribe(input: unknown, observer: StreamObserver): Unsubscribable }
  return { subscribe: (input: unknown, observer: StreamObserver) => typed.subscribe(input, observer) }
}
