/** A subscription as an async iterable: `for await (const event of iterate(client.onRoom, input))`. */
import type { TRPCClientError } from '@trpc/client'
import type { AnyRouter } from '@trpc/server'
import type { Unsubscribable } from '@trpc/server/observable'
import '../../shared/scope.ts'
import type { Lag } from '../../shared/items.ts'
import { contextOf } from './consumer.ts'
import { Inbox } from './inbox.ts'
import { readLag } from './lag.ts'

/**
 * A subscription procedure of `createTRPCClient`, by the one method that is used. The parameters are `never` so that
 * every procedure fits; what they really are is looked up.
 */
export interface SubscriptionProcedure {
  subscribe(input: never, options: never): Unsubscribable
}

/**
 * The parameters of `subscribe`. Newer 11.x (11.25.2 does) offer an iterator beside the callbacks, as a second
 * overload; a lookup that does not name both would see the last one only, and that one has no callbacks.
 */
type ParametersOf<Subscribe> = Subscribe extends {
  (input: infer Input, options: infer Options): Unsubscribable
  (...rest: never): AsyncIterableIterator<unknown>
}
  ? [Input, Options]
  : Subscribe extends (input: infer Input, options: infer Options) => Unsubscribable
    ? [Input, Options]
    : never

/** What the procedure takes. */
export type InputOf<P extends SubscriptionProcedure> = ParametersOf<P['subscribe']>[0]

/** What it delivers: `{ id, data }` where the server yields `tracked()` values. */
export type EventOf<P extends SubscriptionProcedure> = ParametersOf<P['subscribe']>[1] extends {
  onData?: (event: infer Event) => void
}
  ? Event
  : never

export interface IterateOptions {
  /** Ends the iteration, quietly. */
  readonly signal?: AbortSignal
  /**
   * How many events may wait to be taken; default 1,000. At this bound, or that of the bytes, the server waits: over
   * SSE because nothing more is read, over a WebSocket because the server is told what has been taken. A server that
   * knows nothing of that (tRPC's own over a WebSocket) is told to stop, and asked to go on from the last event when
   * all is taken; where events have no ids, that would lose some, and the iteration fails with `CONSUMER_TOO_SLOW`.
   */
  readonly maxBuffered?: number
  /**
   * How many bytes may wait to be taken; default 4 MiB. As received: characters, where they came as text. May be
   * passed by one batch of events. Over a WebSocket the server counts for us, and with no less than 1 MiB.
   */
  readonly maxBufferedBytes?: number
  /**
   * Told how far behind its log the subscription is, as the server sees it: at most about once a second, and only when
   * it has changed. Of topics that a Sluice server's procedure returns without a generator around; else never called.
   */
  readonly onLag?: (lag: Lag) => void
}

export type EventStream<Event> = AsyncIterableIterator<Event, undefined, undefined> & AsyncDisposable

/**
 * Subscribes, and yields each event in turn. Leaving the loop ends the subscription; so does `signal`. The
 * subscription begins at once and not with the first `next()`, so that nothing is missed between the two.
 *
 * @throws TRPCClientError out of the loop, when the subscription fails; its `cause` is a SluiceError
 *   `CONSUMER_TOO_SLOW` when the buffer ran over.
 * @throws RangeError at once, when `maxBuffered` or `maxBufferedBytes` is less than 1.
 * @example
 * ```ts
 * for await (const { id, data } of iterate(client.onRoom, { room: 'general' }, { signal })) show(data)
 * ```
 */
export function iterate<P extends SubscriptionProcedure>(
  procedure: P,
  input: InputOf<P>,
  { signal, maxBuffered = 1_000, maxBufferedBytes = 4 * 1024 * 1024, onLag }: IterateOptions = {},
): EventStream<EventOf<P>> {
  const inbox = new Inbox<EventOf<P>>({ maxItems: maxBuffered, maxBytes: maxBufferedBytes })
  let subscription: Unsubscribable | null = null
  const leave = () => {
    subscription?.unsubscribe()
    signal?.removeEventListener('abort', onAbort)
  }
  const onAbort = () => {
    inbox.discard()
    leave()
  }
  const observer = {
    context: contextOf({ flow: inbox, onLag: onLag && (said => onLag(readLag(said))) }),
    onData: (event: EventOf<P>) => {
      if (!inbox.push(event)) leave()
    },
    onError: (error: TRPCClientError<AnyRouter>) => {
      inbox.end(error)
      leave()
    },
    onComplete: () => {
      inbox.end()
      leave()
    },
  }

  if (signal?.aborted) inbox.end()
  else {
    signal?.addEventListener('abort', onAbort)
    // The procedure's own types were taken apart above; here they are put together again.
    const typed = procedure as { subscribe(input: unknown, options: typeof observer): Unsubscribable }
    subscription = typed.subscribe(input, observer)
  }

  const finish = (): Promise<IteratorResult<EventOf<P>, undefined>> => {
    onAbort()
    return Promise.resolve({ done: true, value: undefined })
  }
  return {
    next: () => inbox.next(),
    return: finish,
    [Symbol.asyncIterator]() {
      return this
    },
    async [Symbol.asyncDispose]() {
      await finish()
    },
  }
}
