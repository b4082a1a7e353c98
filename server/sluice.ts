/** Builds the rooms from the options; owns all connections, their drain and their end. */
import type { AnyTRPCRouter } from '@trpc/server'
import { jsonEncoder, type Encoder } from '@trpc/server/adapters/ws'
import type { ResponseMetaFn } from '@trpc/server/http'
import type { IncomingMessage } from 'node:http'
import type { WebSocket } from 'ws'
import { codecsByName, type Format } from '../shared/codec/codec.ts'
import { withTransformed } from '../shared/codec/json.ts'
import { systemClock, type Clock } from '../shared/clock.ts'
import { addressOfSocket, type AddressOf } from './carriers/address.ts'
import { Arrivals } from './carriers/arrivals.ts'
import { contextMaker, type CreateContext, type NodeRequest } from './carriers/context.ts'
import { createFetchHandler, type FetchHandler } from './carriers/fetch.ts'
import type { HttpDeps } from './carriers/http.ts'
import { Malformed } from './carriers/malformed.ts'
import { createNodeHandler, type NodeHandler } from './carriers/node.ts'
import { normalizeBasePath } from './carriers/request.ts'
import { createUpgradeHandler, type UpgradeHandler } from './carriers/upgrade.ts'
import { Deflater, toCompression } from './carriers/deflate.ts'
import { Packings } from './carriers/frames.ts'
import { Gzip } from './carriers/gzip.ts'
import { WebSocketGuest } from './carriers/guest.ts'
import { WebSocketWire } from './carriers/ws.ts'
import type { SluiceErrorCode } from '../shared/errors.ts'
import { CallObservers, type CallObserver } from './observe/calls.ts'
import { countRefusal, createCounters } from './observe/counters.ts'
import { EventLoopDelay } from './observe/event-loop.ts'
import { takeStats, type SluiceStats } from './observe/stats.ts'
import {
  defaultDrainMs,
  type AuthOptions,
  type ContextOf,
  type DrainOptions,
  type SluiceOptions,
} from './options.ts'
import { Authority, type RunningSubscription } from './procedures/authority.ts'
import { Encodings } from './procedures/encodings.ts'
import { Grace } from './grace.ts'
import { withInputDepth } from './procedures/input-depth.ts'
import { quickJson, withSuperjsonInput } from './procedures/quick-superjson.ts'
import { ErrorDesk, type ErrorListener } from './procedures/present-error.ts'
import { RetryContracts } from './procedures/rerun.ts'
import { Admission } from './session/admission.ts'
import { Connections } from './session/connections.ts'
import type { ExpiryOptions } from './session/expiry.ts'
import { IdleWatch } from './session/idle.ts'
import { Limits } from './session/limits.ts'
import { Heartbeats } from './session/liveness.ts'
import { RateLimit } from './session/rate.ts'
import { Session, type SessionDeps } from './session/session.ts'

/** A router, served. */
export interface Sluice<Context = unknown> {
  /** Answers a request of Node's `http`, `https` or `http2`; also as a Connect middleware. */
  readonly node: NodeHandler
  /** Listener for a Node server's `upgrade` event: opens WebSockets. */
  readonly upgrade: UpgradeHandler
  /** Answers a WHATWG `Request`. */
  readonly fetch: FetchHandler
  /**
   * Asks all WebSocket clients to connect anew, as tRPC's adapter does.
   *
   * @param options `withinMs`: our own clients leave one after another, each at a random moment within so many
   *   milliseconds. Default 0: all leave now, and come back after a first delay of their backoff. Stock clients leave
   *   now in any case.
   */
  broadcastReconnectNotification(options?: { readonly withinMs?: number }): void
  /**
   * Goes away politely: takes no new connection, asks clients to resume elsewhere, waits until they have, and closes.
   * Any number of calls; does not close the HTTP server.
   */
  drain(options?: DrainOptions): Promise<void>
  /**
   * Goes away at once: ends every subscription and connection. Settles when all generators have ended, or overstayed
   * (`graceMs`). Any number of calls; does not close the HTTP server.
   */
  close(): Promise<void>
  /**
   * Asks `auth.authorize` again about running subscriptions: of those that `concerns` names, or of all. Settles when
   * those that may not go on have ended for their clients; one of which nothing is said for 30 seconds is not waited for.
   *
   * @example
   * ```ts
   * await sluice.reauthorize(({ ctx }) => ctx.user.id === removed)
   * ```
   */
  reauthorize(concerns?: (subscription: RunningSubscription<Context>) => boolean): Promise<void>
  /** Has each call and subscription told to an observer, until what it returns is called; see `trpc-sluice/otel`. */
  observe(observer: CallObserver): () => void
  stats(): SluiceStats
}

/**
 * Serves a tRPC router over WebSocket, SSE and HTTP.
 *
 * @example
 * ```ts
 * const sluice = createSluice({ router: appRouter })
 * const server = http.createServer(sluice.node)
 * server.on('upgrade', sluice.upgrade)
 * server.listen(3000)
 * ```
 */
export function createSluice<TRouter extends AnyTRPCRouter>(
  options: SluiceOptions<TRouter>,
): Sluice<ContextOf<TRouter>> {
  return buildSluice(options)
}

/** What the house itself may do beside its public face, such as take over a socket that somebody else has opened. */
export interface InnerSluice extends Sluice {
  accept(socket: WebSocket, req: IncomingMessage): void
  /** Counts what was refused before it came here. */
  refused(code: SluiceErrorCode): void
}

export function buildSluice<TRouter extends AnyTRPCRouter>(options: SluiceOptions<TRouter>): InnerSluice {
  const limits = Limits.parse(options.limits ?? {})
  const basePath = normalizeBasePath(options.basePath ?? '/')
  const counters = createCounters()
  const observers = new CallObservers()
  const eventLoop = new EventLoopDelay()
  const clock = options.clock ?? systemClock
  const admission = new Admission(limits)
  const refused = (code: SluiceErrorCode) => countRefusal(counters, code)
  const connections = new Connections({
    admission,
    maxAgeMs: limits.maxConnectionAgeMs,
    stallMs: limits.idleMs,
    onStalled: () => refused('STALLED'),
    clock,
  })
  const readable = withSuperjsonInput(options.router, () => refused('MESSAGE_INVALID'))
  const router = withInputDepth(readable, limits.maxDepth, () => refused('INPUT_TOO_DEEP'))
  // The listener's report is narrower only in its context, which is whatever createContext made.
  const desk = new ErrorDesk(router, options.onError?.bind(options) as ErrorListener | undefined)
  const reportOf = (error: unknown, req: NodeRequest | Request) =>
    desk.report(error, { req, type: 'unknown', path: undefined, input: undefined, ctx: undefined })
  let draining = false
  const isDraining = () => draining
  let closing: Promise<void> | null = null

  const addressOf: AddressOf = req => {
    try {
      return options.addressOf ? options.addressOf(req) : addressOfSocket(req)
    } catch (thrown) {
      reportOf(thrown, req)
      return null
    }
  }

  const makeContext = contextMaker(options.createContext?.bind(options))
  const createContext: CreateContext = given => makeContext(() => given)

  const compression = toCompression(options.compression)
  const deflater = compression && new Deflater(compression, counters)
  const packings = new Packings(deflater)
  const encodings = new Encodings(
    desk.router,
    counters,
    quickJson(options.router._def._config.transformer.output),
  )
  const { authority, expiry } = createAuth(options.auth, desk, clock)
  const subscription = {
    desk,
    clock,
    counters,
    observers,
    encodings,
    contracts: new RetryContracts(options.router),
    authority,
    expiry,
    grace: new Grace(options.graceMs ?? 5_000, clock),
  }
  const { experimental_encoder: encoder } = options
  if (encoder && options.codecs) {
    throw new TypeError(
      'An experimental_encoder writes all messages, and codecs some: pass the one or the other.',
    )
  }
  const codecs = codecsByName(options.codecs ?? [])
  const format = encoder ? formatBy(encoder, desk.router) : encodings.json
  const session: SessionDeps = {
    ...subscription,
    connections,
    limits,
    encoder: encoder ?? jsonEncoder,
    formatFor: () => format,
    heartbeats: new Heartbeats(options.keepAlive ?? { enabled: true }, clock),
    idleWatch: new IdleWatch(limits.idleMs, clock),
    rateLimit: new RateLimit(limits.messagesPerSecond, limits.maxMessageBurst, clock),
    dangerouslyDisablePong: options.dangerouslyDisablePong ?? false,
    maxBatchSize: options.maxBatchSize,
  }
  const responseMeta = options.responseMeta as ResponseMetaFn<AnyTRPCRouter> | undefined
  const { allowBatching, allowMethodOverride = false, batching, middleware } = options
  const { maxBatchSize, maxBatchSize: longest = limits.maxBatchLength } = options
  const malformed = new Malformed(counters)
  const http: HttpDeps = {
    ...subscription,
    connections,
    limits,
    basePath,
    isDraining,
    admission,
    addressOf,
    createContext,
    responseMeta,
    allowMethodOverride,
    outletHighWater: limits.outletHighWater,
    maxBodyBytes: limits.maxBodyBytes,
    maxStreamBytes: limits.maxStreamBytes ?? limits.maxBodyBytes,
    arrivals: new Arrivals(limits.requestMs, clock, () => refused('SILENT_PEER')),
    gzip: compression?.http && deflater ? new Gzip(deflater) : null,
    maxBatchSize,
    malformed,
    routerForAdapters: malformed.over(desk.routerForAdapters),
    adapter: {
      allowBatching,
      allowMethodOverride,
      batching,
      maxBatchSize: longest,
      middleware,
      responseMeta,
    },
  }

  const reception = { codecs, makeContext }
  const accept = (socket: WebSocket, req: IncomingMessage, address: string | null) => {
    const guest = new WebSocketGuest(socket, req, reception)
    const wire = new WebSocketWire(socket, req.socket, packings.of(socket, req, guest.extensions))
    connections.add(new Session(wire, guest, session), address)
  }

  const dismissWebSockets: Sluice['broadcastReconnectNotification'] = ({ withinMs } = {}) => {
    for (const connection of connections) if (connection.carrier === 'websocket') connection.dismiss(withinMs)
  }

  const close = () => {
    draining = true
    eventLoop[Symbol.dispose]()
    return (closing ??= connections.close())
  }

  /** A few clients leave at once; many leave over as long as the server that takes them needs to greet them. */
  const defaultSpreadMs = (withinMs: number) => Math.min(withinMs / 2, Array.from(connections).length * 2)

  return {
    node: createNodeHandler(http),
    fetch: createFetchHandler(http),
    upgrade: createUpgradeHandler({
      basePath,
      counters,
      clock,
      isDraining,
      addressOf,
      crowded: address => admission.refusal(address),
      accept,
      allowedOrigins: options.allowedOrigins,
      maxMessageBytes: limits.maxMessageBytes,
      maxFragments: limits.maxFragments,
      deflate: compression?.websocket ?? false,
      report: reportOf,
    }),
    accept: (socket, req) => accept(socket, req, addressOf(req)),
    refused,
    broadcastReconnectNotification: dismissWebSockets,
    async drain({ withinMs = defaultDrainMs, spreadMs = defaultSpreadMs(withinMs) } = {}) {
      const first = !draining
      draining = true
      const dismissed = first ? connections.dismiss(Math.min(spreadMs, withinMs)) : null
      await connections.calm(withinMs)
      await dismissed
      await close()
    },
    close,
    async reauthorize(concerns = () => true) {
      await authority?.review(concerns)
    },
    observe: observer => observers.add(observer),
    stats: () => takeStats({ connections, counters, eventLoop, draining }),
  }
}

function createAuth(
  auth: AuthOptions | undefined,
  desk: ErrorDesk,
  clock: Clock,
): { readonly authority: Authority | null; readonly expiry: ExpiryOptions | null } {
  const { renewBeforeMs = 30_000, authorizeEveryMs = 60_000 } = auth ?? {}
  const authority =
    auth?.authorize &&
    new Authority({
      authorize: subscription => auth.authorize?.(subscription),
      everyMs: authorizeEveryMs,
      clock,
      report: (error, origin) => desk.report(error, origin),
    })
  const expiry = auth?.expiresAt && { expiresAt: (ctx: unknown) => auth.expiresAt?.(ctx), renewBeforeMs }
  return { authority: authority ?? null, expiry: expiry ?? null }
}

/** How messages are written where no codec was agreed on. */
function formatBy(encoder: Encoder, router: AnyTRPCRouter): Format {
  const { output } = router._def._config.transformer
  const serialize = (value: unknown): unknown => output.serialize(value)
  return { encode: message => encoder.encode(withTransformed(message, serialize)), split: null }
}
