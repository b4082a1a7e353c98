/** A stock tRPC server over real sockets, HTTP and WebSocket on one port, that can be stopped and started again there. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { initTRPC, tracked, TRPCError } from '@trpc/server'
import { createHTTPHandler } from '@trpc/server/adapters/standalone'
import { applyWSSHandler } from '@trpc/server/adapters/ws'
import superjson from 'superjson'
import { WebSocketServer } from 'ws'
import { z } from 'zod'
import '../../../shared/scope.ts'

interface Context {
  readonly params: Readonly<Record<string, string | undefined>> | null
}

/** A log in memory that survives the server, as a durable store would. */
export class Log {
  readonly events: number[] = []
  readonly #waiting = new Set<() => void>()
  /** Generators that are running now. */
  readers = 0
  /** How often one was started, and after which event. */
  readonly starts: (number | null)[] = []

  publish(...events: number[]): void {
    this.events.push(...events)
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
  }

  async *read(after: number | null, signal: AbortSignal | undefined) {
    this.starts.push(after)
    this.readers += 1
    try {
      let next = after === null ? 0 : this.events.indexOf(after) + 1
      while (!signal?.aborted) {
        for (; next < this.events.length; next++) {
          const n = this.events[next] as number // within the length
          yield tracked(String(n), { n, at: new Date(0) })
        }
        await new Promise<void>(resolve => {
          this.#waiting.add(resolve)
          signal?.addEventListener('abort', () => resolve(), { once: true })
        })
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
    never: t.procedure.subscription(async function* ({ signal }) {
      yield 'hello'
      await new Promise(resolve => signal?.addEventListener('abort', resolve))
    }),
    echo: t.procedure.input(z.unknown()).query(({ input }) => input),
    whoami: t.procedure.query(({ ctx }) => ctx.params?.['token'] ?? 'nobody'),
    hang: t.procedure.mutation(() => new Promise<string>(() => {})),
    add: t.procedure.input(z.number()).mutation(({ input }) => {
      log.publish(input)
      return log.events.length
    }),
    upload: t.procedure.input(z.instanceof(FormData)).mutation(({ input }) => String(input.get('name'))),
  })
}

export type Router = ReturnType<typeof createRouter>

export class StockServer implements AsyncDisposable {
  readonly log = new Log()
  #server: Server | null = null
  #wss: WebSocketServer | null = null
  #reconnectNotification: (() => void) | null = null
  readonly #sockets = new Set<Socket>()
  port = 0

  async start(): Promise<void> {
    const router = createRouter(this.log)
    const createContext = ({ info }: { info: { connectionParams: Context['params'] } }): Context => ({
      params: info.connectionParams,
    })
    const server = createServer(createHTTPHandler({ router, createContext }))
    this.#wss = new WebSocketServer({ server })
    const handler = applyWSSHandler({ wss: this.#wss, router, createContext })
    this.#reconnectNotification = handler.broadcastReconnectNotification
    server.on('connection', socket => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    await new Promise<void>(resolve => server.listen(this.port, '127.0.0.1', resolve))
    this.#server = server
    this.port = (server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get openWebSockets(): number {
    return this.#wss?.clients.size ?? 0
  }

  get openSockets(): number {
    return this.#sockets.size
  }

  askToReconnect(): void {
    this.#reconnectNotification?.()
  }

  closeWebSockets(code: number): void {
    for (const socket of this.#wss?.clients ?? []) socket.close(code, 'a test')
  }

  /** As a crash would: every connection is reset. */
  async stop(): Promise<void> {
    const server = this.#server
    if (!server) return
    this.#server = null
    const closed = new Promise(resolve => server.close(resolve))
    this.#wss?.close()
    for (const socket of this.#sockets) socket.resetAndDestroy()
    await closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

export async function startStockServer(): Promise<StockServer> {
  const server = new StockServer()
  await server.start()
  return server
}
