/**
 * A herd: all clients of a server are cut at one moment. They come back spread as the jitter of their backoff promises,
 * each with one attempt, and resume from the ring: nobody asks the store for anything. `npm run test:herd` is the same
 * with 2,000 clients, and prints how they came.
 */
import type { Socket } from 'node:net'
import { createTRPCClient } from '@trpc/client'
import { initTRPC } from '@trpc/server'
import { sluiceLink } from 'trpc-sluice/client'
import { createTopic, memoryStore, resumable, serve, type Store } from 'trpc-sluice/server'
import { Scope, systemClock, type Clock } from 'trpc-sluice/shared'
import { createFakeClock, createRecorder, eventually, type FakeClock } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { defaultBackoff } from '../../client/connection/backoff.ts'
import { healthyAfterMs } from '../../client/connection/machine.ts'

const clientCount = Number(process.env['HERD_CLIENTS'] ?? 200)
const bucketMs = 100
/** After a healthy spell, the first delay is anything between nothing and the base. */
const buckets = defaultBackoff.baseMs / bucketMs
const patient = { withinMs: 60_000 }

const t = initTRPC.create()
function createRouter(store: Store) {
  const topic = createTopic({ name: 'n', event: z.object({ n: z.number() }), store })
  const router = t.router({
    onNumber: t.procedure
      .input(resumable())
      .subscription(({ input, signal }) => topic.subscribe('k', { after: input.lastEventId, signal })),
  })
  return { topic, router }
}
type Router = ReturnType<typeof createRouter>['router']

/** Tells which of a store's methods were called. */
function watch(store: Store): { store: Store; calls: string[] } {
  const calls: string[] = []
  const watched = new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return (...given: unknown[]) => {
        calls.push(String(name))
        return member.apply(target, given)
      }
    },
  })
  return { store: watched, calls }
}

/** @returns `delays`: how long it has decided to wait, each time. */
function startClient(url: string, clock: Clock) {
  const link = sluiceLink<Router>({ url, transport: 'websocket', WebSocket, clock })
  const seen = createRecorder<{ data: { n: number } }>({ numberOf: ({ data }) => data.n })
  const started = new Promise<void>(resolve => {
    createTRPCClient<Router>({ links: [link] }).onNumber.subscribe(
      {},
      {
        onStarted: () => resolve(),
        onData: event => seen.push(event as { data: { n: number } }), // the topic has no fold: events are all that comes
        onError: error => seen.end(error),
      },
    )
  })
  const delays: number[] = []
  link.connection.subscribe(() => {
    const state = link.connection.get()
    if (state.at === 'waiting') delays.push(state.until - state.since)
  })
  return { link, clock, seen, started, delays, [Symbol.dispose]: () => link.close() }
}

/** A server with its clients, all of which have seen event 1. */
async function gather(clockOf: (client: number) => Clock) {
  const scope = new Scope()
  const { store, calls } = watch(memoryStore())
  const { topic, router } = createRouter(store)
  const limits = { maxConnectionsPerAddress: 2 * clientCount }
  const served = scope.use(await serve({ router, port: 0, host: '127.0.0.1', limits }))
  const sockets = new Set<Socket>()
  let cutAt = 0
  /** When each came, in milliseconds since the cut. */
  const came: number[] = []
  served.server.on('connection', socket => {
    came.push(performance.now() - cutAt)
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const clients = Array.from({ length: clientCount }, (_, i) =>
    scope.use(startClient(served.url, clockOf(i))),
  )
  const publish = async (n: number) => {
    await topic.publish('k', { n })
    await Promise.all(clients.map(({ seen }) => seen.until(n, patient)))
  }
  await Promise.all(clients.map(({ started }) => started))
  await publish(1)
  return {
    clients,
    came,
    publish,
    /** Subscriptions that run. */
    back: () => served.sluice.stats().subscribers.live,
    resumes: () => served.sluice.stats().resumes,
    calls,
    cut() {
      came.length = 0
      calls.length = 0
      cutAt = performance.now()
      for (const socket of sockets) socket.resetAndDestroy()
    },
    [Symbol.asyncDispose]: () => scope.close(),
  }
}

/** How many fall into each piece of the time that the jitter covers; the last counts those that are later, too. */
function distribution(delays: readonly number[]): number[] {
  const counts = Array.from({ length: buckets }, () => 0)
  for (const ms of delays) {
    const bucket = Math.min(buckets, Math.max(1, Math.ceil(ms / bucketMs))) - 1
    counts[bucket] = (counts[bucket] ?? 0) + 1
  }
  return counts
}

const complete = { delivered: 2, missing: [], repeated: [], outOfOrder: [] }

test('clients that are cut at one moment come back evenly over the time of the jitter, and from the ring', async () => {
  await using herd = await gather(seed => createFakeClock({ seed }))
  const { clients, came } = herd
  const advance = (ms: number) => Promise.all(clients.map(({ clock }) => (clock as FakeClock).advance(ms)))
  await advance(healthyAfterMs)
  herd.cut()
  await eventually(() => clients.every(({ delays }) => delays.length === 1), patient)
  const counts = distribution(clients.flatMap(({ delays }) => delays))
  const expected = clientCount / buckets
  for (const count of counts) {
    // Four standard deviations: the clocks are seeded, so it is the same each time.
    expect(Math.abs(count - expected)).toBeLessThan(4 * Math.sqrt(expected * (1 - 1 / buckets)))
  }
  let due = 0
  for (const count of counts) {
    await advance(bucketMs)
    due += count
    await eventually(() => came.length === due, {
      what: () => `${due} connections; there are ${came.length}`,
    })
  }
  await eventually(() => herd.back() === clientCount, patient)
  expect(herd.calls).toEqual([])
  await herd.publish(2)
  for (const { seen } of clients) expect(seen.report(2)).toEqual(complete)
  expect(herd.resumes()).toEqual({ ring: clientCount, store: 0, missed: 0 })
})

test('the same while time goes on by itself: each with one attempt, and none of them asks the store', async () => {
  await using herd = await gather(() => systemClock)
  const { clients, came } = herd
  // The first ping of each has been answered, and the spell is a healthy one.
  await new Promise(resolve => setTimeout(resolve, 2 * healthyAfterMs))
  herd.cut()
  await eventually(() => came.length >= clientCount, patient)
  await eventually(() => herd.back() === clientCount, patient)
  expect(herd.calls).toEqual([])
  await herd.publish(2)
  for (const { seen } of clients) expect(seen.report(2)).toEqual(complete)
  expect(came).toHaveLength(clientCount)
  expect(herd.resumes()).toEqual({ ring: clientCount, store: 0, missed: 0 })
  const chosen = clients.flatMap(({ delays }) => delays)
  expect(chosen).toHaveLength(clientCount)
  console.log(
    `${clientCount} clients, in buckets of ${bucketMs} ms; ${clientCount / buckets} each are to be expected\n` +
      `wanted to come: ${distribution(chosen).join(', ')}\n` +
      `came, as far as this machine had time for them: ${distribution(came).join(', ')} and later, ` +
      `the last after ${Math.round(Math.max(...came))} ms`,
  )
})
