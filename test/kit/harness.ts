/**
 * A whole application in one process: the router behind a real server on a free port, a fault proxy before it, and
 * typed clients that connect through the proxy. Whatever it opened ends with it.
 */
import { createTRPCClient } from '@trpc/client'
import type { TRPCClient } from '@trpc/client'
import type { TransformerOptions } from '@trpc/client/unstable-internals'
import type { AnyRouter, inferRouterContext } from '@trpc/server'
import { WebSocket } from 'ws'
import { sluiceLink } from '../../client/link.ts'
import type { SluiceLink } from '../../client/link.ts'
import type { SluiceLinkOptions, WebSocketConstructor } from '../../client/options.ts'
import type { EventOf, InputOf, SubscriptionProcedure } from '../../client/subscriptions/iterate.ts'
import type { NodeContextOptions } from '../../server/carriers/context.ts'
import type { SluiceOptions } from '../../server/options.ts'
import { serve } from '../../server/serve.ts'
import type { Served, ServeOptions } from '../../server/serve.ts'
import type { Sluice } from '../../server/sluice.ts'
import { Scope } from '../../shared/scope.ts'
import { createFaultProxy } from './fault-proxy.ts'
import type { FaultProxy } from './fault-proxy.ts'
import { describeConnection, record } from './recording.ts'
import type { Recording, RecordOptions } from './recording.ts'

/** Options of a client's link that the harness does not set by itself. */
export type ClientOptions = Partial<Omit<SluiceLinkOptions<AnyRouter>, 'url' | 'transformer'>>

/** Options of the server that the harness does not set by itself. */
export type ServerOptions = Partial<Omit<SluiceOptions<AnyRouter>, 'router' | 'createContext'>>

interface Wiring<TRouter extends AnyRouter> {
  /** The application's router. */
  readonly router: TRouter
  /** What the clients connect by; default `auto`. */
  readonly transport?: ClientOptions['transport']
  /** Further options of the server. */
  readonly sluice?: ServerOptions
  /** Further options of every client's link. Default: reconnects are tried after 50 ms at the latest. */
  readonly link?: ClientOptions
}

interface ContextOption<TRouter extends AnyRouter> {
  createContext(options: NodeContextOptions): MaybePromise<inferRouterContext<TRouter>>
}

type MaybePromise<T> = T | Promise<T>

/** `createContext` may be left out where an empty context will do; `transformer` is the router's, if it has one. */
export type HarnessOptions<TRouter extends AnyRouter> = Wiring<TRouter> &
  TransformerOptions<TRouter['_def']['_config']['$types']> &
  (object extends inferRouterContext<TRouter> ? Partial<ContextOption<TRouter>> : ContextOption<TRouter>)

/** One client with its own connection. */
export interface HarnessClient<TRouter extends AnyRouter> extends AsyncDisposable {
  readonly client: TRPCClient<TRouter>
  readonly link: SluiceLink<TRouter>
  /** Subscribes and records, with this client. */
  record: RecordFunction<TRouter>
  /** Ends the client's subscriptions and its connection. */
  close(): Promise<void>
}

export type RecordFunction<TRouter extends AnyRouter> = <P extends SubscriptionProcedure>(
  select: (client: TRPCClient<TRouter>) => P,
  ...rest: RecordArguments<P>
) => Recording<EventOf<P>>

/**
 * `never` is the input of no procedure, but of all of them: the compiler looks at the arguments once before it has
 * looked into `select`, and must be able to accept them then.
 */
type RecordArguments<P extends SubscriptionProcedure> = [InputOf<P>] extends [never]
  ? [input?: unknown, options?: RecordOptions<EventOf<P>>]
  : undefined extends InputOf<P>
    ? [input?: InputOf<P>, options?: RecordOptions<EventOf<P>>]
    : [input: InputOf<P>, options?: RecordOptions<EventOf<P>>]

export interface Harness<TRouter extends AnyRouter> extends HarnessClient<TRouter> {
  /** Where clients connect: the proxy's address. */
  readonly url: string
  readonly proxy: FaultProxy
  /** The server's side; another one after `restart`. */
  readonly sluice: Sluice
  /** A further client with a connection of its own; it ends with the harness, or before. */
  connect(options?: ClientOptions): HarnessClient<TRouter>
  /**
   * Ends the server without a goodbye and starts it again on another port behind the same proxy, as a crash does.
   * What the router holds in memory (topics in a memory store) lives on: it belongs to this process.
   */
  restart(): Promise<void>
}

// A test has no herd to spread out.
const quickly = { baseMs: 10, maxMs: 50 }

/**
 * Starts the router's server, the proxy and a first client.
 *
 * @example
 * ```ts
 * await using app = await createHarness({ router })
 * const seen = app.record(client => client.onRoom, { room: 'general' })
 * await seen.started
 * await room.publish('general', { n: 1 })
 * await app.proxy.cut()
 * await room.publish('general', { n: 2 })
 * await seen.until(2)
 * ```
 */
export async function createHarness<TRouter extends AnyRouter>(
  options: HarnessOptions<TRouter>,
): Promise<Harness<TRouter>> {
  const scope = new Scope()
  const { router, createContext } = options as HarnessOptions<AnyRouter> // whose router it is makes no difference here
  const start = () =>
    serve({
      ...options.sluice,
      router,
      ...(createContext && { createContext }),
      port: 0,
      host: '127.0.0.1',
    } as ServeOptions<AnyRouter>)

  let served: Served = await start()
  scope.defer(() => served.close())
  const proxy = scope.use(await createFaultProxy({ target: { port: served.port } }))
  const connect = (more?: ClientOptions): HarnessClient<TRouter> =>
    scope.use(createClient(proxy, options, more))
  const first = connect()

  return {
    ...first,
    proxy,
    url: proxy.url(),
    connect,
    get sluice() {
      return served.sluice
    },
    async restart() {
      await crash(served, proxy)
      served = await start()
      proxy.retarget(served.port)
    },
    close: () => scope.close(),
    [Symbol.asyncDispose]: () => scope.close(),
  }
}

/** Nobody gets in any more; then all connections are lost at once, and only then is the server told. */
async function crash(served: Served, proxy: FaultProxy): Promise<void> {
  served.server.close()
  await proxy.cut()
  await served.close()
}

function createClient<TRouter extends AnyRouter>(
  proxy: FaultProxy,
  options: HarnessOptions<TRouter>,
  more: ClientOptions | undefined,
): HarnessClient<TRouter> {
  const { transformer, transport, link: forAll } = options as HarnessOptions<AnyRouter>
  const scope = new Scope()
  const link = sluiceLink<TRouter>({
    url: proxy.url(),
    // Node 20 has none of its own.
    WebSocket: WebSocket as WebSocketConstructor,
    backoff: quickly,
    ...(transformer && { transformer }),
    ...(transport && { transport }),
    ...forAll,
    ...more,
  } as SluiceLinkOptions<TRouter>) // the transformer is the router's: HarnessOptions asks for it
  scope.defer(() => link.close())
  const client = createTRPCClient<TRouter>({ links: [link] })
  return {
    client,
    link,
    record(select, ...[input, options]) {
      const explain = () => describeConnection(link.connection.get())
      return scope.use(record(select(client), input, { ...options, explain }))
    },
    close: () => scope.close(),
    [Symbol.asyncDispose]: () => scope.close(),
  }
}
