/** `sluiceLink`: a tRPC operation becomes a subscription or a request on the one connection. */
import { TRPCClientError } from '@trpc/client'
import type { Operation, TRPCLink } from '@trpc/client'
import type { AnyRouter } from '@trpc/server'
import { observable } from '@trpc/server/observable'
import { toError } from '../shared/errors.ts'
import { createConnection, type ConnectionView } from './connection/connection.ts'
import type { TransportKind } from './connection/machine.ts'
import { createRequests } from './connection/requests.ts'
import { createHttp, type SendRequest } from './http.ts'
import { resolveOptions, type SluiceLinkOptions } from './options.ts'
import { isOwnBody } from './own-body.ts'
import { consumerOf } from './subscriptions/consumer.ts'
import { createRegistry } from './subscriptions/registry.ts'
import { createSubscription, type ResultObserver } from './subscriptions/subscription.ts'
import type { Seat } from './tabs/seat.ts'
import { openLazily } from './transports/lazy.ts'
import type { Transport, TransportReports } from './transports/transport.ts'
import { openWebSocket } from './transports/websocket.ts'

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
  const overHttp = createHttp(resolved)

  const create = (kind: TransportKind, reports: TransportReports): Transport => {
    if (kind === 'websocket') {
      return (resolved.codec?.hold(openWebSocket) ?? openWebSocket)(resolved, reports)
    }
    const code = kind === 'stream' ? import('./transports/stream.ts') : import('./transports/sse.ts')
    return openLazily(kind, code, resolved, reports, create)
  }

  const connection = createConnection(
    resolved,
    (kind, reports) => seat?.open(kind, reports) ?? create(kind, reports),
  )
  const subscriptions = createRegistry(connection, resolved)
  const requests = createRequests(connection, resolved, overHttp)
  connection.carry(subscriptions, requests)

  /** Where no WebSocket is to be had in any case, there is nothing that a request should wait for. */
  const onlyHttp = !resolved.transports.includes('websocket')

  const send: SendRequest = (op, observer) =>
    onlyHttp || isOwnBody(op.input) ? overHttp(op, observer) : requests.add(op, observer)

  const { outbox, tabs, url: address } = options
  const route = { connection, subscriptions, send, create, address, options: resolved }
  const seat: Seat | null = tabs?.join(route) ?? null
  outbox?.attach(route)

  const begin = (op: Operation, observer: ResultObserver): (() => void) => {
    if (op.type !== 'subscription') {
      return outbox?.accepts(op) ? outbox.add(op, observer, route) : send(op, observer)
    }
    const serialized = resolved.transformer.input.serialize(op.input)
    // What JSON refuses is refused now, and not whenever it is asked for. A codec may carry it.
    if (!resolved.codec) JSON.stringify(serialized)
    const consumer = consumerOf(op.context)
    return subscriptions.add(createSubscription({ ...resolved, ...op, serialized, observer, ...consumer }))
  }

  const link: TRPCLink<TRouter> =
    () =>
    ({ op }) =>
      observable(observer => {
        // A link of any router: what it passes on is what the server sent, whatever its types.
        const results = observer as unknown as ResultObserver
        const { signal } = op
        const complete = () => results.complete()
        try {
          if (connection.ended) throw connection.ended
          if (signal?.aborted) return complete()
          const end = begin(op, results)
          signal?.addEventListener('abort', complete)
          return () => {
            signal?.removeEventListener('abort', complete)
            end()
          }
        } catch (thrown) {
          return results.error(TRPCClientError.from(toError(thrown)))
        }
      })

  const close = () => {
    seat?.close() // first: the other tabs go on without this one
    const why = connection.close()
    outbox?.detach(route, TRPCClientError.from(why))
  }
  return Object.assign(link, { connection, close })
}
