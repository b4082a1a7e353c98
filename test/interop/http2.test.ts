/** The same handler on `node:http2`: many subscriptions on one connection, each with a window of its own. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { constants } from 'node:http2'
import https from 'node:https'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { initTRPC, lazy, type AnyTRPCRouter } from '@trpc/server'
import { createSluice, createTopic, resumable, type SluiceOptions, type Store } from 'trpc-sluice/server'
import { lmdbStore } from 'trpc-sluice/stores/lmdb'
import { createFakeClock, eventually } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { connectHttp2 } from './support/http2-client.ts'
import { startSecureServer } from './support/secure-server.ts'
import { memoryAfterGc } from '../support/memory.ts'

const t = initTRPC.create()
const onEvent = '/onEvent?input=%7B%7D'
const clean = { missing: [], repeated: [], outOfOrder: [] }

/** A router whose one topic numbers its events, and which can be looked into. */
function createApp(store?: Store, options: Pick<SluiceOptions<AnyTRPCRouter>, 'clock' | 'limits'> = {}) {
  const topic = createTopic({ name: 'numbers', event: z.object({ n: z.number(), text: z.string() }), store })
  const running = { generators: 0 }
  let load = () => {}
  const loadable = new Promise<void>(resolve => (load = resolve))
  const onSilence = t.procedure.subscription(async function* ({ signal }) {
    running.generators += 1
    try {
      yield 'begun'
      await once(signal ?? new AbortController().signal, 'abort')
    } finally {
      running.generators -= 1
    }
  })
  const asked = { late: 0 }
  const router = t.router({
    hello: t.procedure.input(z.string()).query(({ input }) => `hello ${input}`),
    double: t.procedure.input(z.number()).mutation(({ input }) => input * 2),
    onEvent: t.procedure
      .input(resumable())
      .subscription(({ input, signal }) => topic.subscribe('k', { after: input.lastEventId, signal })),
    onSilence,
    late: lazy(async () => {
      asked.late += 1
      await loadable
      return t.router({ hello: t.procedure.query(() => 'late'), onSilence })
    }),
  })
  let published = 0
  return {
    running,
    asked,
    load: () => load(),
    sluice: createSluice({ router, ...options }),
    async publish(count: number, text = '') {
      const events = Array.from({ length: count }, () => ({ n: ++published, text }))
      await Promise.all(events.map(event => topic.publish('k', event)))
      return published
    },
  }
}

test('queries and mutations', async () => {
  const { sluice } = createApp()
  await using server = await startSecureServer(sluice)
  using client = await connectHttp2(server)
  expect(client.session.alpnProtocol).toBe('h2')
  expect(await client.ask('/hello?input=%22ann%22')).toEqual({ result: { data: 'hello ann' } })
  expect(await client.ask('/double', 21)).toEqual({ result: { data: 42 } })
  expect(await client.ask('/hello,hello?batch=1&input=%7B%220%22:%22a%22,%221%22:%22b%22%7D')).toEqual([
    { result: { data: 'hello a' } },
    { result: { data: 'hello b' } },
  ])
})

test('a subscription goes on where its last event id says', async () => {
  const app = createApp()
  await using server = await startSecureServer(app.sluice)
  using client = await connectHttp2(server)
  const first = await client.subscribe(onEvent)
  await app.publish(5)
  await first.seen.until(3)
  const { id = '' } = first.seen.items[2] ?? {}
  first.stream.close(constants.NGHTTP2_CANCEL)
  await app.publish(2)
  const second = await client.subscribe(onEvent, { 'last-event-id': id })
  await app.publish(3)
  await second.seen.until(7)
  expect(second.seen.numbers).toEqual([4, 5, 6, 7, 8, 9, 10])
})

test('RST_STREAM ends its generator and no other; the end of the connection ends all', async () => {
  const { sluice, running } = createApp()
  await using server = await startSecureServer(sluice)
  using client = await connectHttp2(server)
  const [first] = await Promise.all(Array.from({ length: 3 }, () => client.subscribe('/onSilence')))
  expect(running.generators).toBe(3)
  first?.stream.close(constants.NGHTTP2_CANCEL)
  await eventually(() => running.generators === 2, { what: 'the generator of the stream to end' })
  expect(await client.ask('/hello?input=%22ann%22')).toEqual({ result: { data: 'hello ann' } })
  expect(running.generators).toBe(2)
  client.session.destroy()
  await eventually(() => sluice.stats().subscriptions === 0, { what: 'all subscriptions to end' })
  expect(running.generators).toBe(0)
  expect(sluice.stats().connections.sse).toBe(0)
})

test('RST_STREAM while the router is still being loaded leaves nothing behind', async () => {
  const { sluice, running, asked, load } = createApp()
  await using server = await startSecureServer(sluice)
  using client = await connectHttp2(server)
  const stream = client.session.request({ ':path': '/late.onSilence' })
  await eventually(() => asked.late === 1, { what: 'the request to arrive' })
  stream.close(constants.NGHTTP2_CANCEL)
  await client.settled()
  load()
  expect(await client.ask('/late.hello')).toEqual({ result: { data: 'late' } })
  await eventually(() => sluice.stats().connections.sse === 0, { what: 'the response to be given up' })
  expect(running.generators).toBe(0)
})

test('200 subscriptions on one connection: each sees every event, once, in order', async () => {
  const app = createApp()
  await using server = await startSecureServer(app.sluice)
  using client = await connectHttp2(server)
  const readers = await Promise.all(Array.from({ length: 200 }, () => client.subscribe(onEvent)))
  for (let i = 0; i < 10; i++) await app.publish(10)
  await Promise.all(readers.map(({ seen }) => seen.until(100)))
  for (const { seen } of readers) expect(seen.report(100)).toEqual({ delivered: 100, ...clean })
  expect(server.sessions).toHaveLength(1)
})

test('a stream whose window is 0 holds only its own events back, and costs a fixed amount of memory', async () => {
  const path = await mkdtemp(join(tmpdir(), 'sluice-http2-'))
  // On disk, so that what is published is not what is measured.
  const store = lmdbStore({ path })
  const app = createApp(store)
  const text = 'x'.repeat(16 * 1024)
  try {
    await using server = await startSecureServer(app.sluice)
    using client = await connectHttp2(server)
    using shut = await connectHttp2(server, { initialWindowSize: 0 })
    const healthy = await client.subscribe(onEvent)
    const before = await app.publish(500, text)
    await healthy.seen.until(before, { withinMs: 30_000 })
    const without = await memoryAfterGc()

    // Ten that use up their windows, beside the healthy one, and ten that never had any.
    const open = (on: typeof client) => Promise.all(Array.from({ length: 10 }, () => on.subscribe(onEvent)))
    const stopped = await open(client)
    for (const { stream } of stopped) stream.pause()
    stopped.push(...(await open(shut)))
    const published = await app.publish(500, text)
    await healthy.seen.until(published, { withinMs: 30_000 })
    expect(stopped.slice(10).map(({ seen }) => seen.items.length)).toEqual(Array(10).fill(0))
    const cost = ((await memoryAfterGc()) - without) / stopped.length
    // Each was offered 8 MB. What it may cost: an outlet at its mark with one batch above it, and a page read ahead.
    expect(cost).toBeLessThan(1_500_000)

    for (const { stream } of stopped) stream.resume()
    shut.session.settings({ initialWindowSize: 64 * 1024 - 1 })
    await Promise.all(stopped.map(({ seen }) => seen.until(published - before, { withinMs: 30_000 })))
    const range = Array.from({ length: published - before }, (_, i) => before + 1 + i)
    for (const { seen } of stopped) expect(seen.report(range)).toEqual({ delivered: range.length, ...clean })
  } finally {
    await store.close()
    await rm(path, { recursive: true, force: true })
  }
})

test('a stream that takes nothing is cut off, and the others on its connection go on', async () => {
  const clock = createFakeClock()
  const app = createApp(undefined, { clock, limits: { idleMs: 40_000 } })
  await using server = await startSecureServer(app.sluice)
  using client = await connectHttp2(server)
  const [taking, stopped] = [await client.subscribe(onEvent), await client.subscribe(onEvent)]
  stopped.stream.pause()
  await taking.seen.until(await app.publish(50, 'x'.repeat(16 * 1024)))
  await clock.advance(30_000)
  expect(app.sluice.stats().connections.sse).toBe(2)
  await taking.seen.until(await app.publish(1))
  await clock.advance(30_000)
  await eventually(() => app.sluice.stats().connections.sse === 1)
  expect(app.sluice.stats().refusals).toEqual({ STALLED: 1 })
  await taking.seen.until(await app.publish(1))
})

test('HTTP/1.1 and WebSocket on the same port', async () => {
  const app = createApp()
  await using server = await startSecureServer(app.sluice)
  const { ca } = server
  const get = async (path: string) => {
    const request = https.get(`${server.url}${path}`, { ca, agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    return response.setEncoding('utf8')
  }
  const answer = await get('/hello?input=%22ann%22')
  expect(answer.httpVersion).toBe('1.1')
  expect(await answer.toArray()).toEqual(['{"result":{"data":"hello ann"}}'])

  const events = await get(onEvent)
  let text = ''
  events.on('data', (chunk: string) => (text += chunk))

  const socket = new WebSocket(server.url.replace('https', 'wss'), { ca })
  await once(socket, 'open')
  const messages: string[] = []
  socket.on('message', (message: Buffer) => messages.push(message.toString()))
  socket.send(JSON.stringify({ id: 1, method: 'subscription', params: { path: 'onEvent', input: {} } }))
  await eventually(() => messages.length === 1, { what: 'the subscription to start' })
  await app.publish(1)
  await eventually(() => messages.length === 2 && text.includes('"n":1'), { what: 'the event to arrive' })
  expect(messages[1]).toContain('"n":1')
  expect(app.sluice.stats().connections).toEqual({ websocket: 1, stream: 0, sse: 1 })
  expect(server.sessions).toHaveLength(0)
  socket.terminate()
  events.destroy()
  await eventually(() => app.sluice.stats().subscriptions === 0, { what: 'all subscriptions to end' })
})

test('a server that drains sends its HTTP/2 clients elsewhere, and can close', async () => {
  const { sluice } = createApp()
  await using server = await startSecureServer(sluice)
  using client = await connectHttp2(server)
  const { stream } = await client.subscribe('/onSilence')
  const left = once(client.session, 'goaway')
  const ended = once(stream, 'end')
  await sluice.drain({ withinMs: 5_000 })
  await Promise.all([left, ended, server.close()])
  expect(client.session.closed).toBe(true)
})
