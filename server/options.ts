/** Every option of `createSluice`, with its default, its unit, and what happens at the limit. */
import type { AnyTRPCRouter, TRPCError } from '@trpc/server'
import type { Encoder } from '@trpc/server/adapters/ws'
import type { ResponseMetaFn } from '@trpc/server/http'
import type { z } from 'zod'
import type { Codec } from '../shared/codec/codec.ts'
import type { Clock } from '../shared/clock.ts'
import type { OperationKind } from '../shared/protocol/messages.ts'
import type { AdapterOptions } from './carriers/http.ts'
import type { FetchContextOptions, NodeContextOptions, NodeRequest } from './carriers/context.ts'
import type { Compression } from './carriers/deflate.ts'
import type { AllowedOrigins } from './carriers/upgrade.ts'
import type { RunningSubscription } from './procedures/authority.ts'
import type { Limits } from './session/limits.ts'
import type { KeepAlive } from './session/liveness.ts'

/** What `onError` is told: tRPC's words. */
export interface ErrorReport<Context = unknown> {
  readonly error: TRPCError
  readonly type: OperationKind | 'unknown'
  readonly path: string | undefined
  readonly input: unknown
  readonly ctx: Context | undefined
  readonly req: NodeRequest | Request | undefined
}

export type ContextOf<TRouter extends AnyTRPCRouter> = TRouter['_def']['_config']['$types']['ctx']

/** `createContext` may be left out where an empty context will do. */
type WithContext<Context> = object extends Context
  ? Partial<ContextCallback<Context>>
  : ContextCallback<Context>

interface ContextCallback<Context> {
  /**
   * Makes the context that procedures are called with, once per WebSocket or per HTTP request. Declared as a method
   * so that its parameter may be narrowed to the one host that an application has:
   * `createContext: ({ req }: NodeContextOptions) => …`.
   *
   * What it throws is told to the client; a WebSocket is closed then.
   */
  createContext(options: NodeContextOptions | FetchContextOptions): Context | Promise<Context>
}

/** Whether those who are connected may go on. */
export interface AuthOptions<Context = unknown> {
  /**
   * When a context runs out: milliseconds since the epoch, or a Date; null or undefined: never. Asked of each context
   * that `createContext` has made. Before that time a client of ours is asked to say anew who it is, on the
   * connection that it has; one that does not is cut off with `CONTEXT_EXPIRED`. Over HTTP the response ends, and
   * the client comes back with fresh params and headers.
   */
  expiresAt?(ctx: Context): number | Date | null | undefined
  /** How long before that a client is asked, in milliseconds; default 30,000. */
  readonly renewBeforeMs?: number
  /**
   * Whether a subscription may run: asked before it starts, then at intervals, after a renewal, and by
   * `sluice.reauthorize()`. With anything but `true`, the client is told `ACCESS_REVOKED`; a `TRPCError` is told as it
   * is. Any other failure at a review is reported, and the subscription goes on until the next one; so is an answer that
   * takes longer than 30 seconds, which is heeded when it comes.
   */
  authorize?(subscription: RunningSubscription<Context>): boolean | Promise<boolean>
  /** Time between two reviews, in milliseconds; default 60,000, `Infinity` for none. */
  readonly authorizeEveryMs?: number
}

interface BaseOptions<TRouter extends AnyTRPCRouter> {
  readonly router: TRouter
  /** Where the router is served; default `/`. With or without the slashes around it. */
  readonly basePath?: string
  /** Told of every error, as in tRPC; also of what overstays. An abort is not an error. May be async; may not matter. */
  onError?(report: ErrorReport<ContextOf<TRouter>>): unknown
  /** Pages that may open a WebSocket; default: those of the same host. Requests without an origin are no pages. */
  readonly allowedOrigins?: AllowedOrigins
  /** What becomes of a connection's rights while it lasts. Default: they are what they were when it began. */
  readonly auth?: AuthOptions<ContextOf<TRouter>>
  /** WebSocket heartbeats, in tRPC's words; default `{ enabled: true, pingMs: 30_000, pongWaitMs: 5_000 }`. */
  readonly keepAlive?: KeepAlive
  /** Leaves a client's PING unanswered; for tests. Default false. */
  readonly dangerouslyDisablePong?: boolean
  /** How messages are written on a WebSocket, for all clients and by them; default JSON. Not together with `codecs`. */
  readonly experimental_encoder?: Encoder
  /**
   * What a Sluice client may choose for its WebSocket in place of JSON: `msgpackCodec()`, `protobufCodec()`. Others are
   * served in JSON as ever. Default: none. `createSluice` throws a `TypeError` for two of one name.
   */
  readonly codecs?: readonly Codec[]
  /** Status and headers of HTTP responses, subscriptions included. */
  readonly responseMeta?: ResponseMetaFn<TRouter>
  /** Whether queries and subscriptions may also be sent by POST; default false. */
  readonly allowMethodOverride?: boolean
  /** Whether HTTP requests may be batched; default true. */
  readonly allowBatching?: boolean
  /** @deprecated tRPC's older word for `allowBatching`. */
  readonly batching?: { readonly enabled: boolean }
  /**
   * The longest batch, in tRPC's word; default: `limits.maxBatchLength`. A longer one is refused in tRPC's words, by
   * `BATCH_TOO_LONG`.
   */
  readonly maxBatchSize?: number
  /** A Connect middleware that runs before each HTTP request, such as `cors()`; Node only. */
  readonly middleware?: AdapterOptions['middleware']
  /**
   * Compresses what is sent to those who accept it: `permessage-deflate` on WebSockets, gzip on streamed responses of
   * Node's servers. Default false. What goes out together is compressed together, once for all who get it, in the
   * event loop; see `Compression` for the threshold and the level. Worth it where events come in batches, or are
   * large: one event of 300 bytes shrinks to two thirds, 32 of them together to a fifth.
   */
  readonly compression?: boolean | z.input<typeof Compression>
  /** What strangers may send and hold; see `Limits`. */
  readonly limits?: z.input<typeof Limits>
  /**
   * Whose a request is, for `limits.maxConnectionsPerAddress`; null for one that is not to be counted by address.
   * Default: the address at the other end of the socket, unless that is of a private network or this machine, and so
   * most likely a proxy. Behind a proxy, read the header that it sets, and that nobody else can:
   * `addressOf: ({ headers }: IncomingMessage) => String(headers['x-real-ip'])`. Declared as a method so that its
   * parameter may be narrowed to the one host that an application has. One that throws is reported, and counts nobody.
   */
  addressOf?(req: NodeRequest | Request): string | null
  /**
   * How long a generator may take to end after it was told to, in milliseconds; default 5,000. One that overstays is
   * counted, and reported to `onError`.
   */
  readonly graceMs?: number
  /** Time, for tests; default the system's. */
  readonly clock?: Clock
}

export type SluiceOptions<TRouter extends AnyTRPCRouter> = BaseOptions<TRouter> &
  WithContext<ContextOf<TRouter>>

/** Where `withinMs` of a drain is not said. */
export const defaultDrainMs = 20_000

export interface DrainOptions {
  /** How long clients may take to leave, in milliseconds; default 20,000. Who is still there then is cut off. */
  readonly withinMs?: number
  /**
   * Over how long clients are asked to leave, evenly, in milliseconds; at most `withinMs`. Default: 2 for each
   * connection, and at most half of `withinMs`.
   */
  readonly spreadMs?: number
}
