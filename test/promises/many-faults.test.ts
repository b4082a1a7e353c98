/**
 * Promise 1 (complete, ordered, once) for many at once: clients over every carrier and over all mixed, each behind a
 * network of its own that breaks in whatever way comes up, and one server, which crashes now and then.
 * `npm run test:faults` is the same with 200 clients and 10,000 faults.
 */
import { createTRPCClient } from '@trpc/client'
import { initTRPC } from '@trpc/server'
import { sluiceLink } from 'trpc-sluice/client'
import { createTopic, memoryStore, resumable, serve } from 'trpc-sluice/server'
import { Scope } from 'trpc-sluice/shared'
import { createFaultProxy, createRecorder, seededRandom } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'

const clientCount = Number(process.env['FAULT_CLIENTS'] ?? 16)
const faultCount = Number(process.env['FAULT_COUNT'] ?? 200)
const seed = Number(process.env['FAULT_SEED'] ?? Date.now() | 0)
/** All of it is one process, which is to have time for whom it breaks. */
const everyMs = 8
const faultsPerEvent = 4
const faultsPerRestart = 100
/** Shorter and longer than a client takes to notice a silence, which is a second. */
const longestFaultMs = 1_500

const transports = ['websocket', 'stream', 'sse', 'auto'] as const

const t = initTRPC.create()
function createRouter() {
  // The store outlives the server: what a durable one does on disk, this one does in the process of the test.
  const topic = createTopic({ name: 'n', event: z.object({ n: z.number() }), store: memoryStore() })
  const router = t.router({
    onNumber: t.procedure
      .input(resumable())
      .subscription(({ input, signal }) =>
        topic.subscribe('k', { after: input.lastEventId, from: 'start', signal }),
      ),
  })
  return { topic, router }
}
type Router = ReturnType<typeof createRouter>['router']

async function startClient(port: number, transport: (typeof transports)[number]) {
  const scope = new Scope()
  const proxy = scope.use(await createFaultProxy({ target: { port } }))
  const link = sluiceLink<Router>({
    url: proxy.httpUrl,
    transport,
    WebSocket,
    backoff: { baseMs: 10, maxMs: 200 },
    heartbeatMs: 500,
    heartbeatTimeoutMs: 500,
    connectTimeoutMs: 1_000,
    climbAfterMs: 300,
  })
  scope.defer(() => link.close())
  const explain = () => `${transport} ${JSON.stringify(link.connection.get())}`
  const seen = createRecorder<{ data: { n: number } }>({ numberOf: ({ data }) => data.n, explain })
  createTRPCClient<Router>({ links: [link] }).onNumber.subscribe(
    {},
    {
      onData: event => seen.push(event as { data: { n: number } }), // the topic has no fold: events are all that comes
      onError: error => seen.end(error),
    },
  )
  return { proxy, link, seen, [Symbol.asyncDispose]: () => scope.close() }
}
type Client = Awaited<ReturnType<typeof startClient>>

/** Each breaks something of one client's network, for as long as until it is healed. */
const faults: Readonly<Record<string, (client: Client, random: () => number) => unknown>> = {
  reset: ({ proxy }) => proxy.cut({ how: 'rst' }),
  end: ({ proxy }) => proxy.cut({ how: 'fin' }),
  'cut in mid-frame': ({ proxy }) => proxy.cut({ midFrame: true }),
  'half-open': ({ proxy }) => proxy.stall(),
  slow: ({ proxy }, random) => proxy.slow({ bytesPerSecond: 1_000 + 50_000 * random() }),
  sliced: ({ proxy }, random) => proxy.slice({ maxBytes: 1 + Math.floor(64 * random()) }),
  refused: ({ proxy }) => {
    proxy.refuse()
    return proxy.cut()
  },
  'upgrades refused': ({ proxy }, random) => {
    proxy.refuseUpgrades({ answer: pick([403, 'drop', 'silence'] as const, random) })
    return proxy.cut()
  },
  offline: ({ proxy }) => {
    proxy.refuse()
    proxy.stall()
  },
}

/** As it ends for a page: with a hint. */
function heal({ proxy, link }: Client): void {
  proxy.heal()
  link.connection.wake()
}

function pick<T>(from: readonly T[], random: () => number): T {
  return from[Math.floor(random() * from.length)] as T // never empty
}

test('many clients, each on a network that breaks at random, see every event once and in order', async () => {
  console.log(`${clientCount} clients, ${faultCount} faults; replay with --seed ${seed}`)
  await using scope = new Scope()
  const random = seededRandom(seed)
  const { topic, router } = createRouter()
  const start = () =>
    serve({ router, port: 0, host: '127.0.0.1', limits: { maxConnectionsPerAddress: 10 * clientCount } })
  let served = await start()
  scope.defer(() => served.close())
  const clients: Client[] = []
  for (let i = 0; i < clientCount; i++) {
    clients.push(
      scope.use(
        await startClient(
          served.port,
          pick(transports, () => (i % 4) / 4),
        ),
      ),
    )
  }
  const restart = async () => {
    const crashed = served
    crashed.server.close()
    await Promise.all(clients.map(({ proxy }) => proxy.cut()))
    await crashed.close()
    served = await start()
    for (const { proxy } of clients) proxy.retarget(served.port)
  }

  const injected: Record<string, number> = {}
  const under: unknown[] = []
  const heals = new Map<Client, NodeJS.Timeout>()
  let published = 0
  for (let fault = 1; fault <= faultCount; fault++) {
    const kind = fault % faultsPerRestart === 0 ? 'server restart' : pick(Object.keys(faults), random)
    injected[kind] = (injected[kind] ?? 0) + 1
    if (kind === 'server restart') await restart()
    else {
      const client = pick(clients, random)
      under.push(faults[kind]?.(client, random))
      clearTimeout(heals.get(client))
      heals.set(
        client,
        setTimeout(() => heal(client), longestFaultMs * random()),
      )
    }
    if (fault % faultsPerEvent === 0) await topic.publish('k', { n: ++published })
    await new Promise(resolve => setTimeout(resolve, everyMs))
  }
  for (const timer of heals.values()) clearTimeout(timer)
  for (const client of clients) heal(client)
  await topic.publish('k', { n: ++published })
  await Promise.all(clients.map(({ seen }) => seen.until(published, { withinMs: 60_000 })))
  await scope.close()
  await Promise.all(under)

  const reports = clients.map(({ seen }) => seen.report(published))
  const sum = (count: (report: (typeof reports)[number]) => number) =>
    reports.reduce((total, report) => total + count(report), 0)
  console.log(
    `${faultCount} faults: ${JSON.stringify(injected)}\n` +
      `${clients.reduce((total, { proxy }) => total + proxy.accepted, 0)} connections, ` +
      `${published} events for each client, ${sum(({ delivered }) => delivered)} delivered: ` +
      `${sum(({ missing }) => missing.length)} missing, ${sum(({ repeated }) => repeated.length)} repeated, ` +
      `${sum(({ outOfOrder }) => outOfOrder.length)} out of order`,
  )
  const complete = { delivered: published, missing: [], repeated: [], outOfOrder: [] }
  for (const report of reports) expect(report).toEqual(complete)
})
