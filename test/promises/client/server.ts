/** One router over real sockets, HTTP and WebSocket on one port, served by tRPC's own adapters or by ours. */
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { initTRPC, tracked, TRPCError } from '@trpc/server'
import { createHTTPHandler } from '@trpc/server/adapters/standalone'
import { applyWSSHandler } from '@trpc/server/adapters/ws'
import superjson from 'superjson'
import { WebSocketServer } from 'ws'
import { createSluice } from 'trpc-sluice/server'
import { z } from 'zod'

interface Context {
  readonly params: Readonly<Record<string, string | undefined>> | null
}

/** A log in memory that survives the server, as a durable store would. */
export class Log {
  readonly events: number[] = []
  readonly #waiting = new Set<() => void>()
  /** Generators that are running now. */
  readers = 0
  /** Makes the next value of `big`. */
  onBig = () => ''
  /** How often one was started, and after which event. */
  readonly starts: (number | null)[] = []

  publish(...events: number[]): void {
    this.events.push(...events)
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
  }

  /** The next event that is published. */
  async next(): Promise<number | undefined> {
    await new Promise<void>(resolve => this.#waiting.add(resolve))
    return this.events.at(-1)
  }

  async *read(after: number | null, signal: AbortSignal | undefined) {
    this.starts.push(after)
    this.readers += 1
    try {
      let next = after === null ? 0 : this.events.indexOf(after) + 1
      for (;;) {
        for (; next < this.events.length; next++) {
          const n = this.events[next] as number // within the length
          yield tracked(String(n), { n, at: new Date(0) })
        }
        await new Promise<void>(resolve => {
          this.#waiting.add(resolve)
          signal?.addEventListener('abort', () => resolve(), { once: true })
        })
        if (signal?.aborted) return
      }
    } finally {
      this.readers -= 1
    }
  }
}

export function createRouter(log: Log) {
  const t = initTRPC.context<Context>().create({ transformer: superjson })
  return t.router({
    onLog: t.procedure
      .input(z.object({ lastEventId: z.string().optional() }).optional())
      .subscription(({ input, signal }) =>
        log.read(input?.lastEventId === undefined ? null : Number(input.lastEventId), signal),
      ),
    countTo: t.procedure.input(z.number()).subscription(async function* ({ input }) {
      for (let n = 1; n <= input; n++) yield n
    }),
    failing: t.procedure.subscription(async function* () {
      yield 1
      throw new TRPCError({ code: 'CONFLICT', message: 'on purpose' })
    }),
    guarded: t.procedure.subscription(async function* ({ ctx }) {
      if (ctx.params?.['token'] !== 'good') throw new TRPCError({ code: 'UNAUTHORIZED' })
      yield `token ${ctx.params['token']}`
    }),
    big: t.procedure.subscription(async function* () {
      for (;;) yield log.onBig()
    }),
    never: t.procedure.subscription(async function* ({ signal }) {
      yield 'hello'
      await new Promise(resolve => signal?.addEventListener('abort', resolve))
    }),
    echo: t.procedure.input(z.unknown()).query(({ input }) => input),
    whoami: t.procedure.query(({ ctx }) => ctx.params?.['token'] ?? 'nobody'),
    nextEvent: t.procedure.query(() => log.next()),
    hang: t.procedure.mutation(() => new Promise<string>(() => {})),
    add: t.procedure.input(z.number()).mutation(({ input }) => {
      log.publish(input)
      return log.events.length
    }),
    upload: t.procedure.input(z.instanceof(FormData)).mutation(({ input }) => String(input.get('name'))),
  })
}

export type Router = ReturnType<typeof createRouter>

export type ServerKind = 'stock tRPC' | 'Sluice'

/** What serves the router on one HTTP server: tRPC's own adapters, or ours. */
interface Serving {
  askToReconnect(): void
  close(): void
}

function serveStock(server: Server, log: Log): Serving {
  const router = createRouter(log)
  const createContext = ({ info }: ContextInfo): Context => ({ params: info.connectionParams })
  server.on('request', createHTTPHandler({ router, createContext }))
  const wss = new WebSocketServer({ server })
  const handler = applyWSSHandler({ wss, router, createContext })
  return { askToReconnect: handler.broadcastReconnectNotification, close: () => wss.close() }
}

function serveSluice(server: Server, log: Log): Serving {
  const sluice = createSluice({
    router: createRouter(log),
    createContext: ({ info }: ContextInfo): Context => ({ params: info.connectionParams }),
  })
  server.on('request', sluice.node)
  server.on('upgrade', sluice.upgrade)
  return {
    askToReconnect: () => sluice.broadcastReconnectNotification(),
    close: () => void sluice.close(),
  }
}

interface ContextInfo {
  readonly info: { readonly connectionParams: Context['params'] }
}

export class TestServer implements AsyncDisposable {
  readonly log = new Log()
  readonly #kind: ServerKind
  #running: { readonly server: Server; readonly serving: Serving } | null = null
  readonly #sockets = new Set<Socket>()
  port = 0
  /** TCP connections that were ever accepted. */
  accepted = 0

  /** Use `startServer`. */
  constructor(kind: ServerKind) {
    this.#kind = kind
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get openSockets(): number {
    return this.#sockets.size
  }

  /** On the same port as before, if it ran before. */
  async start(): Promise<void> {
    const server = createServer()
    const serving = this.#kind === 'Sluice' ? serveSluice(server, this.log) : serveStock(server, this.log)
    server.on('connection', socket => {
      this.accepted += 1
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    await new Promise<void>(resolve => server.listen(this.port, '127.0.0.1', resolve))
    this.#running = { server, serving }
    this.port = (server.address() as AddressInfo).port
  }

  askToReconnect(): void {
    this.#running?.serving.askToReconnect()
  }

  /** Resets every connection, and goes on to serve. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** As a crash would. */
  async stop(): Promise<void> {
    if (!this.#running) return
    const { server, serving } = this.#running
    this.#running = null
    const closed = new Promise(resolve => server.close(resolve))
    this.cut()
    serving.close()
    await closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

export async function startServer(kind: ServerKind): Promise<TestServer> {
  const server = new TestServer(kind)
  await server.start()
  return server
}

/** A port of this machine on which nobody listens. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}
