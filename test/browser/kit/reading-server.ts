/** A server of numbers behind a proxy that breaks. It crashes and starts again with what its store holds, and forbids streams. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { initTRPC } from '@trpc/server'
import { createSluice, createTopic, memoryStore, resumable } from 'trpc-sluice/server'
import { Scope } from 'trpc-sluice/shared'
import { createFaultProxy, eventually } from 'trpc-sluice/testing'
import { z } from 'zod'
import { listen } from '../../support/listen.ts'

// Often enough that a reader over HTTP notices a silence within a schedule.
const t = initTRPC.create({ sse: { ping: { enabled: true, intervalMs: 100 } } })

type Numbers = ReturnType<typeof createNumbers>

function createNumbers(store: ReturnType<typeof memoryStore>, ringSize: number) {
  return createTopic({ name: 'numbers', event: z.object({ n: z.number() }), store, ringSize })
}

function createRouter(numbers: Numbers) {
  return t.router({
    onNumber: t.procedure
      .input(resumable())
      // From the end on for who comes without a cursor: who loses it loses events.
      .subscription(({ input, signal }) => numbers.subscribe('k', { after: input.lastEventId, signal })),
  })
}
export type ReadingRouter = ReturnType<typeof createRouter>

/** What the request for a stream gets where there are to be none: a status, or a reset. */
export type StreamBan = 403 | 503 | 'drop'

export async function startReadingServer({ ringSize }: { readonly ringSize: number }) {
  const store = memoryStore()
  let ban: StreamBan | null = null

  async function start() {
    const numbers = createNumbers(store, ringSize)
    const sluice = createSluice({
      router: createRouter(numbers),
      basePath: '/trpc',
      allowedOrigins: '*',
      keepAlive: { enabled: true, pingMs: 100, pongWaitMs: 100 },
    })
    const server = createServer((req, res) => {
      allowOtherOrigins(res)
      if (req.method === 'OPTIONS') res.end()
      else if (ban !== null && req.method === 'POST') forbid(req, res, ban)
      else sluice.node(req, res)
    })
    return { numbers, sluice, listening: await listen(server.on('upgrade', sluice.upgrade)) }
  }

  const scope = new Scope()
  let running = await start()
  const { id: beginning } = await running.numbers.publish('k', { n: 0 })
  const proxy = scope.use(await createFaultProxy({ target: { port: running.listening.port } }))
  const crash = async () => {
    await running.listening[Symbol.asyncDispose]()
    await running.sluice.close()
  }
  scope.defer(crash)
  let published = 0
  return {
    proxy,
    routerUrl: proxy.url('/trpc'),
    /** The cursor before the first of the numbers that are to be seen. */
    beginning,
    /** How many of them there are: 1 and so on. */
    get published() {
      return published
    },
    async publish(count = 1) {
      for (let i = 0; i < count; i++) await running.numbers.publish('k', { n: ++published })
    },
    /** Everything but the store is another one afterwards. */
    async restart() {
      await proxy.cut()
      await crash()
      running = await start()
      proxy.retarget(running.listening.port)
    },
    forbidStreams(how: StreamBan) {
      ban = how
    },
    heal() {
      ban = null
      proxy.heal()
    },
    /** Waits until all subscriptions have ended, as they do when nobody is there any more. */
    left: () =>
      eventually(() => running.sluice.stats().subscriptions === 0, { what: 'all subscriptions to end' }),
    [Symbol.asyncDispose]: () => scope.close(),
  }
}

/** The page comes from a server that does not break. */
function allowOtherOrigins(res: ServerResponse): void {
  res.setHeader('access-control-allow-origin', '*')
  res.setHeader('access-control-allow-headers', '*')
  res.setHeader('access-control-max-age', '600')
}

function forbid(req: IncomingMessage, res: ServerResponse, how: StreamBan): void {
  if (how === 'drop') req.socket.resetAndDestroy()
  else res.writeHead(how).end()
}
