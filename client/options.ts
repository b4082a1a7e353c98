/** Every option of the link: type, default, unit; and what they amount to when all defaults are filled in. */
import type { HTTPHeaders, Operation } from '@trpc/client'
import type { TransformerOptions } from '@trpc/client/unstable-internals'
import type {
  AnyRouter,
  CombinedDataTransformer,
  DataTransformerOptions,
} from '@trpc/server/unstable-core-do-not-import'
import { untransformed, type Codec } from '../shared/codec/codec.ts'
import { systemClock, type Clock } from '../shared/clock.ts'
import { backoffMs, defaultBackoff, type BackoffOptions } from './connection/backoff.ts'
import type { TransportKind } from './connection/machine.ts'
import type { ClientError } from './transports/transport.ts'
import type { SluiceError } from '../shared/errors.ts'
import type { Outbox } from './outbox/outbox.ts'
import type { TabSharing } from './tabs/tabs.ts'

type ValueOrFunction<T> = T | (() => T | Promise<T>)

/** What `createContext` on the server receives as `info.connectionParams`. */
export type ConnectionParams = Readonly<Record<string, string | undefined>> | null

/** What the link needs of a WebSocket: the browser's own has it, and that of `ws`. */
export interface WebSocketLike {
  readonly readyState: number
  /** Set to `arraybuffer`. */
  binaryType?: string
  send(data: string | Uint8Array<ArrayBuffer>): void
  close(code?: number, reason?: string): void
  addEventListener(type: 'open', listener: () => void): void
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void
  addEventListener(
    type: 'close',
    listener: (event: { readonly code: number; readonly reason: string }) => void,
  ): void
  addEventListener(type: 'error', listener: (event: object) => void): void
}

export type WebSocketConstructor = new (url: string) => WebSocketLike

interface Options {
  /**
   * Where the router is served: `http:`, `https:`, `ws:` or `wss:`, converted as the transport needs it; in a page
   * it may be relative. A function is asked afresh at each connect.
   */
  readonly url: ValueOrFunction<string>
  /**
   * Handed to `createContext` as `info.connectionParams`: as the first message of a WebSocket, in the body of a
   * stream's request, in the query of any other over HTTP. A function is asked afresh at each connect, so that a token is always a fresh one. Default: none.
   */
  readonly connectionParams?: ValueOrFunction<ConnectionParams>
  /**
   * Headers of every HTTP request: queries, mutations and streams where there is no WebSocket (a browser gives a
   * WebSocket no headers: use `connectionParams`). Default: none.
   */
  readonly headers?:
    | HTTPHeaders
    | ((opts: { readonly opList: readonly Operation[] }) => HTTPHeaders | Promise<HTTPHeaders>)
  /**
   * `auto` (default): a WebSocket where it can be opened, else one streamed HTTP response for all subscriptions, else
   * one for each (`sse`: the most that a stock server can do). While a lesser one is in use, the better ones are tried
   * again in the background (`climbAfterMs`). `websocket`, `stream` or `sse`: only that.
   */
  readonly transport?: 'auto' | TransportKind
  /**
   * How messages are written on a WebSocket once the server is known to understand it: `msgpackCodec()` of
   * `trpc-sluice/codecs/msgpack`, `protobufCodec()` of `trpc-sluice/codecs/protobuf`. Default, and with any other
   * server: JSON. What goes in binary does not pass the transformer.
   */
  readonly codec?: Codec
  /** The WebSocket to use. Default: the global one, if there is one (Node has it from version 22 on). */
  readonly WebSocket?: WebSocketConstructor
  /** The `fetch` to use. Default: the global one. */
  readonly fetch?: typeof fetch
  /** Milliseconds to wait after so many failures in a row; in place of `backoff`. */
  readonly retryDelayMs?: (attempt: number) => number
  /** Exponential backoff with full jitter between attempts to connect. */
  readonly backoff?: BackoffOptions
  /** How long an attempt to connect may take, in milliseconds, `url` and `connectionParams` included. Default 10,000. */
  readonly connectTimeoutMs?: number
  /**
   * Silence after which the server is asked for a sign of life, in milliseconds; `Infinity`: never. Default 30,000.
   * Over SSE nothing can be asked: there the server's own pings are waited for, if it says that it sends any, and
   * never for less than their interval. `sse.client.reconnectAfterInactivityMs` of the router goes before this.
   */
  readonly heartbeatMs?: number
  /** How long the server has to answer that before the connection is given up, in milliseconds. Default 10,000. */
  readonly heartbeatTimeoutMs?: number
  /**
   * How long a lesser transport serves before `auto` tries the better ones beside it, in milliseconds; with each try
   * the next is put off for twice as long, up to 128 times. Default 5,000, for after an outage the lesser one is often
   * merely what was tried when the server came back; `Infinity`: never. What has no cursor is not moved, and while
   * there is any, all stay where they are.
   */
  readonly climbAfterMs?: number
  /**
   * How long a WebSocket that nothing needs stays open, in milliseconds. Default 30,000 in a page, and 1,000 in
   * Node, where an open socket keeps a finished program from ending (`link.close()` ends it at once).
   */
  readonly closeWhenIdleMs?: number
  /**
   * Called with what no subscription and no request can be told: a message that is none, an error that the server
   * sent to nobody in particular, a `url` or `connectionParams` function or a callback of yours that threw.
   * Lost connections are not errors; see `link.connection`. Default: `console.error`.
   */
  readonly onError?: (error: SluiceError | ClientError | Error) => void
  /**
   * Keeps mutations until they are answered, whatever becomes of the connection: `createOutbox()` of
   * `trpc-sluice/outbox`. Default: none, and a mutation whose connection is lost fails with `OUTCOME_UNKNOWN`.
   */
  readonly outbox?: Outbox
  /**
   * Lets all tabs of a browser use one connection: `shareTabs({ identity })` of `trpc-sluice/tabs`. Default: each tab
   * has its own.
   */
  readonly tabs?: TabSharing
  /** Time and chance, for tests. Default: the system's. */
  readonly clock?: Clock
}

export type SluiceLinkOptions<TRouter extends AnyRouter> = Options &
  TransformerOptions<TRouter['_def']['_config']['$types']>

/** The options with every default filled in. */
export interface ResolvedOptions {
  readonly url: () => string | Promise<string>
  /** Null: the server is not to expect any. */
  readonly connectionParams: (() => ConnectionParams | Promise<ConnectionParams>) | null
  readonly transports: readonly [TransportKind, ...TransportKind[]]
  readonly transformer: CombinedDataTransformer
  /** Undefined: JSON only. */
  readonly codec?: Codec | undefined
  /** Undefined where there is none. */
  readonly WebSocket: WebSocketConstructor | undefined
  /** As they were given: what they amount to is known where they are needed (transports/http-options.ts). */
  readonly fetch?: Options['fetch']
  readonly headers?: Options['headers']
  readonly retryDelayMs: (attempt: number) => number
  readonly connectTimeoutMs: number
  readonly heartbeatMs: number
  readonly heartbeatTimeoutMs: number
  readonly climbAfterMs: number
  readonly closeWhenIdleMs: number
  readonly onError: (error: Error) => void
  readonly clock: Clock
}

/** @throws RangeError when a duration is not one. */
export function resolveOptions<TRouter extends AnyRouter>(
  options: SluiceLinkOptions<TRouter>,
): ResolvedOptions {
  const { url, connectionParams, transport = 'auto', clock = systemClock } = options
  const globals = globalThis as Globals
  const WebSocket = options.WebSocket ?? globals.WebSocket
  const backoff = { ...defaultBackoff, ...options.backoff }
  const durations = {
    connectTimeoutMs: 10_000,
    heartbeatMs: 30_000,
    heartbeatTimeoutMs: 10_000,
    climbAfterMs: 5_000,
    closeWhenIdleMs: globals.process?.versions?.node ? 1_000 : 30_000,
  }
  for (const name of Object.keys(durations) as (keyof typeof durations)[]) {
    const ms = (durations[name] = options[name] ?? durations[name])
    if (!(ms >= 0)) throw new RangeError(`${name} is ${ms}; pass at least 0.`)
  }
  const best = WebSocket ? (['websocket', 'stream', 'sse'] as const) : (['stream', 'sse'] as const)
  return {
    ...options,
    ...durations,
    url: toFunction(url),
    connectionParams: connectionParams ? toFunction<ConnectionParams>(connectionParams) : null,
    transports: transport === 'auto' ? best : [transport],
    // The type of the option says only whether the router has a transformer, which is the same thing here.
    transformer: toTransformer((options.transformer ?? untransformed) as DataTransformerOptions),
    WebSocket,
    retryDelayMs: options.retryDelayMs ?? (attempt => backoffMs(attempt, backoff, clock.random())),
    onError: options.onError ?? (error => console.error('[sluice]', error)),
    clock,
  }
}

/** What there is in some surroundings. */
interface Globals {
  readonly WebSocket?: WebSocketConstructor
  readonly process?: { readonly versions?: { readonly node?: string } }
}

function toFunction<T>(given: ValueOrFunction<T>): () => T | Promise<T> {
  return typeof given === 'function' ? (given as () => T | Promise<T>) : () => given // no value is a function itself
}

interface Reader {
  deserialize(value: unknown, ...options: readonly object[]): unknown
}

/**
 * superjson reads a copy of what it is given, unless it is told that nobody else has that; what we give it was parsed
 * for it. (A small event with a date, JSON.parse included: 1.8 µs of CPU, with the copy 2.2; Node 20.)
 */
function toTransformer(transformer: DataTransformerOptions): CombinedDataTransformer {
  const { input, output } = 'input' in transformer ? transformer : { input: transformer, output: transformer }
  const inPlace = 'registerCustom' in output ? [{ inPlace: true }] : []
  return {
    input,
    output: {
      serialize: value => output.serialize(value),
      deserialize: value => (output as Reader).deserialize(value, ...inPlace),
    },
  }
}
