/** `sluiceLink`: a tRPC operation becomes a subscription or a request on the one connection. */
import { TRPCClientError } from '@trpc/client'
import type { Operation, TRPCLink } from '@trpc/client'
import type { AnyRouter } from '@trpc/server'
import { observable } from '@trpc/server/observable'
import { toError } from '../shared/errors.ts'
import { Connection } from './connection/connection.ts'
import type { ConnectionState, TransportKind } from './connection/machine.ts'
import { Requests } from './connection/requests.ts'
import { createHttp } from './http.ts'
import type { OutboxRoute } from './outbox/outbox.ts'
import { resolveOptions, type ResolvedOptions, type SluiceLinkOptions } from './options.ts'
import { isOwnBody } from './own-body.ts'
import { flowOf } from './subscriptions/inbox.ts'
import { onLagOf } from './subscriptions/lag.ts'
import { Registry } from './subscriptions/registry.ts'
import { Subscription, type ResultObserver } from './subscriptions/subscription.ts'
import type { Seat } from './tabs/seat.ts'
import { LazyTransport, type CreateTransport } from './transports/lazy.ts'
import type { StreamPath } from './transports/stream.ts'
import type { Transport, TransportReports } from './transports/transport.ts'
import { openWebSocket } from './transports/websocket.ts'

/** What is to be seen of the connection, as a store that React's `useSyncExternalStore` takes. */
export interface ConnectionView {
  /** The same object until the state changes. */
  get(): ConnectionState
  /** Calls `listener` after each change; returns its removal. */
  subscribe(listener: () => void): () => void
  /**
   * Says that things may have changed (a phone woke up, a VPN came up): a waiting link tries again at once, an open
   * one makes sure within 2 s that its server still answers. Browsers' own events are heeded without it.
   */
  wake(): void
}

export type SluiceLink<TRouter extends AnyRouter> = TRPCLink<TRouter> & {
  readonly connection: ConnectionView
  /**
   * Ends the link for good: subscriptions complete, requests are rejected (those under way with `OUTCOME_UNKNOWN`),
   * and operations from now on fail with `LINK_CLOSED`. May be called again.
   */
  close(): void
}

/**
 * The one link of a client, for queries, mutations and subscriptions: over a WebSocket where there can be one, else
 * over streamed HTTP. It reconnects by itself, for ever, and subscriptions to what has ids resume where they were.
 *
 * A query or mutation that has not been sent waits for the connection (give it a `signal` to bound that); one that was
 * sent and whose connection is lost is rejected with `OUTCOME_UNKNOWN` as the `cause`, and is never repeated.
 *
 * @example
 * ```ts
 * const link = sluiceLink<AppRouter>({ url: '/trpc', transformer: superjson })
 * const client = createTRPCClient<AppRouter>({ links: [link] })
 * ```
 * @throws RangeError when a duration among the options is negative.
 */
export function sluiceLink<TRouter extends AnyRouter>(
  options: SluiceLinkOptions<TRouter>,
): SluiceLink<TRouter> {
  const resolved = resolveOptions(options)
  const { clock, onError, retryDelayMs, transformer } = resolved
  const serialize = (input: unknown): unknown => transformer.input.serialize(input)
  const overHttp = createHttp(resolved)

  const path: StreamPath = { heldBack: 'no' }
  const create = (kind: TransportKind, reports: TransportReports): Transport => {
    switch (kind) {
      case 'websocket':
        return openWebSocket(resolved, reports)
      case 'stream':
        return new LazyTransport(kind, () => loadStream(resolved, path), resolved, reports)
      case 'sse':
        return new LazyTransport(kind, () => loadSse(resolved), resolved, reports)
    }
  }
  const connection = new Connection(
    resolved,
    (kind, reports) => seat?.open(kind, reports) ?? create(kind, reports),
  )
  const subscriptions = new Registry(connection, { clock, retryDelayMs })
  const requests = new Requests(connection, { serialize, overHttp, onError })
  connection.carry(subscriptions)
  connection.carry(requests)

  const subscribe = (op: Operation, observer: ResultObserver): (() => void) => {
    const { path, input, context } = op
    const subscription = new Subscription({
      path,
      input,
      serialized: serialize(input),
      observer,
      flow: flowOf(context),
      onLag: onLagOf(context),
      onError,
    })
    return subscriptions.add(subscription)
  }

  /** Where no WebSocket is to be had in any case, there is nothing that a request should wait for. */
  const onlyHttp = !resolved.transports.includes('websocket')

  const send = (op: Operation, observer: ResultObserver): (() => void) =>
    onlyHttp || isOwnBody(op.input) ? overHttp(op, observer) : requests.add(op, observer)

  const { outbox, tabs, url } = options
  const address = typeof url === 'string' ? url : null
  const seat: Seat | null =
    tabs?.join({ connection, subscriptions, send, create, address, options: resolved }) ?? null
  const route: OutboxRoute = { send, serialize, retryDelayMs, clock, onError }
  outbox?.attach(route)

  const begin = (op: Operation, observer: ResultObserver): (() => void) => {
    if (op.type === 'subscription') return subscribe(op, observer)
    // A body that is read once cannot be sent again.
    if (outbox?.accepts(op) && !isOwnBody(op.input)) return outbox.add(op, observer, route)
    return send(op, observer)
  }

  const link: TRPCLink<TRouter> =
    () =>
    ({ op }) =>
      observable(observer => {
        // A link of any router: what it passes on is what the server sent, whatever its types.
        const results = observer as unknown as ResultObserver
        if (connection.ended) return results.error(TRPCClientError.from(connection.ended))
        if (op.signal?.aborted) return results.complete()
        let end: () => void
        try {
          end = begin(op, results)
        } catch (thrown) {
          return results.error(TRPCClientError.from(toError(thrown)))
        }
        const onAbort = () => results.complete()
        op.signal?.addEventListener('abort', onAbort)
        return () => {
          op.signal?.removeEventListener('abort', onAbort)
          end()
        }
      })

  const view: ConnectionView = {
    get: () => connection.get(),
    subscribe: listener => connection.subscribe(listener),
    wake: () => connection.wake(),
  }
  const close = () => {
    const open = !connection.ended
    seat?.close() // first: the other tabs go on without this one
    connection.close()
    if (open && connection.ended) outbox?.detach(TRPCClientError.from(connection.ended))
  }
  return Object.assign(link, { connection: view, close })
}

async function loadStream(options: ResolvedOptions, path: StreamPath): Promise<CreateTransport> {
  const { StreamTransport } = await import('./transports/stream.ts')
  return reports => new StreamTransport(options, reports, path)
}

async function loadSse(options: ResolvedOptions): Promise<CreateTransport> {
  const { SseTransport } = await import('./transports/sse.ts')
  return reports => new SseTransport(options, reports)
}
