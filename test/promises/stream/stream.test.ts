/**
 * The stream carrier: all subscriptions of a page in one response, behind whatever stands between it and its servers.
 */
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { createTRPCClient } from '@trpc/client'
import { memoryStore, serve } from 'trpc-sluice/server'
import { lmdbStore } from 'trpc-sluice/stores/lmdb'
import { iterate, sluiceLink, type SluiceLinkOptions } from 'trpc-sluice/client'
import { createFakeClock, createRecorder, eventually, type Recorder } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { createFolder } from '../../stores/support/folder.ts'
import { listen } from '../../support/listen.ts'
import { createApp, type AppRouter } from './app.ts'
import { startGroup } from './group.ts'
import { createHttpProxy } from './http-proxy.ts'

type Options = Omit<SluiceLinkOptions<AppRouter>, 'transformer'>

function connect(options: Options) {
  const errors: Error[] = []
  const link = sluiceLink<AppRouter>({
    backoff: { baseMs: 5, maxMs: 40 },
    onError: error => errors.push(error),
    ...options,
  })
  const client = createTRPCClient<AppRouter>({ links: [link] })
  const kinds: string[] = []
  link.connection.subscribe(() => {
    const state = link.connection.get()
    if (state.at === 'ready' && kinds.at(-1) !== state.transport) kinds.push(state.transport)
  })
  const explain = () => JSON.stringify(link.connection.get())
  return {
    client,
    link,
    errors,
    /** What it has been ready by, in order. */
    kinds,
    follow(room: string) {
      const seen: Recorder<{ id: string; data: { n: number } }> = createRecorder({ explain })
      const { unsubscribe } = client.onRoom.subscribe(
        { room },
        { onData: item => 'id' in item && seen.push(item) },
      )
      return { room, seen, stop: unsubscribe }
    },
    tick(upTo: number) {
      const seen: Recorder<{ life: string; n: number }> = createRecorder({ explain })
      const told: string[] = []
      const kindsAtEnd: string[] = []
      const { unsubscribe } = client.onTick.subscribe(
        { upTo },
        {
          onData: seen.push,
          onStarted: () => told.push('started'),
          onComplete() {
            told.push('complete')
            kindsAtEnd.push(...kinds)
          },
        },
      )
      return {
        seen,
        told,
        kindsAtEnd,
        stop: unsubscribe,
        lives: () => new Set(seen.items.map(({ life }) => life)).size,
      }
    },
    [Symbol.dispose]: () => link.close(),
  }
}

const complete = (delivered: number) => ({ delivered, missing: [], repeated: [], outOfOrder: [] })

async function startServer() {
  const app = createApp(memoryStore())
  const served = await serve({ router: app.router, port: 0, host: '127.0.0.1' })
  return { ...served, ...app, [Symbol.asyncDispose]: () => served.close() }
}

test('two servers behind a balancer that alternates: subscriptions come and go, and nothing is lost, repeated or begun anew', async () => {
  await using folder = await createFolder()
  const store = lmdbStore({ path: folder.path })
  const { rooms } = createApp(store)
  await using group = await startGroup(folder.path)
  await using proxy = await createHttpProxy(group.ports)
  using page = connect({ url: proxy.url, transport: 'stream' })
  const { random } = createFakeClock({ seed: 7 })
  const pick = (count: number) => Math.floor(random() * count)

  const published = new Map(['a', 'b', 'c'].map(room => [room, 0]))
  const names = [...published.keys()]
  const publish = async (room: string) => {
    const n = (published.get(room) ?? 0) + 1
    published.set(room, n)
    await rooms.publish(room, { n })
  }
  const ticking = page.tick(1_000_000)
  let following = [page.follow('a'), page.follow('b')]
  const left: typeof following = []
  for (let step = 0; step < 60; step++) {
    await Promise.all(names.filter(() => random() < 0.7).map(publish))
    if (random() < 0.3) {
      const newcomer = page.follow(names[pick(3)] ?? 'a')
      following.push(newcomer)
      // Half of them are there before anything else happens: each of those has cost a request.
      if (random() < 0.5 && published.get(newcomer.room)) await newcomer.seen.until(1)
    }
    if (random() < 0.25 && following.length > 1) {
      const leaving = following[pick(following.length)]
      leaving?.stop()
      following = following.filter(other => other !== leaving)
      if (leaving) left.push(leaving)
    }
    // Now and then long enough for things to be folded.
    const pauseMs = step % 30 === 29 ? 700 : pick(30)
    await new Promise(resolve => setTimeout(resolve, pauseMs))
  }
  for (const { room, seen } of following) {
    const last = published.get(room) ?? 0
    await seen.until(last)
    expect(seen.report(last)).toEqual(complete(last))
  }
  // Who left has seen all up to some place.
  for (const { seen } of left) expect(seen.report(seen.items.length)).toEqual(complete(seen.items.length))
  expect(ticking.lives()).toBe(1)
  expect(ticking.seen.report(ticking.seen.items.length)).toEqual(complete(ticking.seen.items.length))
  expect(proxy.mostOpen).toBe(2)
  expect(Math.min(...proxy.shares)).toBeGreaterThan(3)
  expect(page.errors).toEqual([])
  page.link.close()
  await store.close()
})

test('50 subscriptions of one page share one response, and queries have room beside it', async () => {
  await using server = await startServer()
  await using proxy = await createHttpProxy([server.port])
  using page = connect({ url: proxy.url, transport: 'stream' })
  const following = Array.from({ length: 50 }, (_, i) => page.follow(`room ${i % 5}`))
  for (let n = 1; n <= 20; n++) for (let i = 0; i < 5; i++) await server.rooms.publish(`room ${i}`, { n })
  for (const { seen } of following) {
    await seen.until(20)
    expect(seen.report(20)).toEqual(complete(20))
  }
  expect([proxy.mostOpen, server.sluice.stats().connections]).toEqual([
    1,
    { websocket: 0, stream: 1, sse: 0 },
  ])
  expect(await page.client.hello.query()).toBe('hello')
})

test('who comes later has a response of its own for a while, and then all share one', async () => {
  await using server = await startServer()
  await using proxy = await createHttpProxy([server.port])
  using page = connect({ url: proxy.url, transport: 'stream' })
  const first = page.follow('a')
  await eventually(() => proxy.open === 1)
  const second = page.follow('b')
  await eventually(() => proxy.open === 2)
  await server.rooms.publish('b', { n: 1 })
  await second.seen.until(1)
  await eventually(() => proxy.open === 1 && server.sluice.stats().connections.stream === 1)
  await server.rooms.publish('a', { n: 1 })
  await first.seen.until(1)
  first.stop()
  second.stop()
  await eventually(() => server.sluice.stats().subscriptions === 0)
  expect(proxy.mostOpen).toBe(2)
})

test('a loop that takes nothing does not hold back its neighbour, and goes on from where it was when it takes', async () => {
  await using server = await startServer()
  await using proxy = await createHttpProxy([server.port])
  using page = connect({ url: proxy.url, transport: 'stream' })
  const neighbour = page.follow('a')
  const slow = iterate(page.client.onRoom, { room: 'b' }, { maxBuffered: 10 })
  const numbers = Array.from({ length: 3_000 }, (_, i) => i + 1) // far more than are read at once
  await Promise.all(numbers.map(n => server.rooms.publish('b', { n })))
  for (let n = 1; n <= 5; n++) {
    await server.rooms.publish('a', { n })
    await neighbour.seen.until(n)
  }
  // Nor when it has come back, and is full again.
  const taken: number[] = []
  for await (const { data } of slow) {
    if ('n' in data) taken.push(data.n)
    if (taken.length === 2_000) {
      for (let n = 6; n <= 10; n++) {
        await server.rooms.publish('a', { n })
        await neighbour.seen.until(n)
      }
    }
    if (taken.length === numbers.length) break
  }
  expect(taken).toEqual(numbers)
  expect(neighbour.seen.report(10)).toEqual(complete(10))
  expect(proxy.mostOpen).toBe(2)
})

test('two generators without cursors hold both responses: who comes then waits for the first to end, and the page is told', async () => {
  await using server = await startServer()
  await using proxy = await createHttpProxy([server.port])
  using page = connect({ url: proxy.url, transport: 'stream' })
  const endless = page.tick(1_000_000)
  await endless.seen.until(1)
  const finite = page.tick(60)
  await finite.seen.until(1)
  await server.rooms.publish('a', { n: 1 })
  const { seen } = page.follow('a')
  await seen.until(1)
  expect(finite.told).toContain('complete')
  expect([endless.lives(), finite.lives(), proxy.mostOpen]).toEqual([1, 1, 2])
  expect(page.errors).toMatchObject([{ code: 'STREAMS_TAKEN' }])
})

test('a proxy that passes on complete responses only: the page polls, and goes back when it need not', async () => {
  await using server = await startServer()
  await using proxy = await createHttpProxy([server.port])
  proxy.heldBack = true
  using page = connect({ url: proxy.url, transport: 'stream', connectTimeoutMs: 600 })
  const { seen } = page.follow('a')
  for (let n = 1; n <= 5; n++) {
    await server.rooms.publish('a', { n })
    await seen.until(n)
  }
  expect(seen.report(5)).toEqual(complete(5))
  // A generator that comes to its end within one response arrives whole.
  const counted = page.tick(5)
  await eventually(() => counted.told.includes('complete'))
  expect(counted.seen.numbers.slice(-5)).toEqual([1, 2, 3, 4, 5])
  proxy.heldBack = false
  proxy.cut()
  for (let n = 6; n <= 10; n++) {
    await server.rooms.publish('a', { n })
    await seen.until(n)
  }
  expect(seen.report(10)).toEqual(complete(10))
})

test('a server that ends what it was asked to hold, for nothing, is not asked again without delay', async () => {
  const asked: { holdMs?: number }[] = []
  const server = createServer(async (req, res) => {
    const body = JSON.parse(await text(req)) as { holdMs?: number }
    asked.push(body)
    if (body.holdMs === undefined) return // held back for ever
    res.writeHead(200, { 'content-type': 'text/event-stream' }).end('event: connected\ndata: {}\n\n\n')
  })
  await using listening = await listen(server)
  using page = connect({
    url: listening.url,
    transport: 'stream',
    connectTimeoutMs: 400,
    retryDelayMs: () => 60_000,
  })
  page.follow('a')
  await eventually(() => page.link.connection.get().at === 'waiting')
  expect(asked.filter(({ holdMs }) => holdMs !== undefined)).toHaveLength(1)
})

test('auto comes down from WebSocket to stream to SSE as the network forbids them, and climbs back by itself', async () => {
  await using server = await startServer()
  await using proxy = await createHttpProxy([server.port])
  using page = connect({ url: proxy.url, WebSocket, climbAfterMs: 60 })
  const { seen } = page.follow('a')
  let n = 0
  const reach = async (kind: string) => {
    await eventually(
      () => {
        const state = page.link.connection.get()
        return state.at === 'ready' && state.transport === kind && state.heard
      },
      { what: () => `${kind}: ${page.kinds.join(' ')}` },
    )
    await server.rooms.publish('a', { n: ++n })
    await seen.until(n)
  }
  await reach('websocket')
  proxy.banned.add('websocket')
  proxy.cut()
  await reach('stream')
  proxy.banned.add('stream')
  proxy.cut()
  await reach('sse')
  proxy.banned.delete('stream')
  await reach('stream')
  proxy.banned.delete('websocket')
  await reach('websocket')
  expect(page.kinds).toEqual(['websocket', 'stream', 'sse', 'stream', 'websocket'])
  expect(seen.report(n)).toEqual(complete(n))
})

test('nothing climbs while somebody has no cursor to go on from', async () => {
  await using server = await startServer()
  await using proxy = await createHttpProxy([server.port])
  proxy.banned.add('websocket')
  using page = connect({ url: proxy.url, WebSocket, climbAfterMs: 20 })
  const ticking = page.tick(60)
  await ticking.seen.until(1)
  proxy.banned.delete('websocket')
  const { seen } = page.follow('a')
  await eventually(() => ticking.told.includes('complete'))
  expect([ticking.lives(), ticking.kindsAtEnd]).toEqual([1, ['stream']])
  await server.rooms.publish('a', { n: 1 })
  await seen.until(1)
  await eventually(() => page.kinds.at(-1) === 'websocket')
})
