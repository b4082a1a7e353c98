/** What a host and an operator rely on: hosts, extensions, backpressure, drain, close, numbers. */
import http from 'node:http'
import http2 from 'node:http2'
import { initTRPC, tracked } from '@trpc/server'
import { describe, expect, test } from 'vitest'
import { createSluice, serve, type SluiceOptions } from 'trpc-sluice/server'
import { begins } from '../../server/topics/position.ts'
import { eventually } from '../kit/deadline.ts'
import { createFakeClock } from '../kit/fake-clock.ts'
import { listen } from './support/peers.ts'
import { RawResponse } from './support/raw-http.ts'
import { RawWebSocket } from './support/raw-websocket.ts'

const t = initTRPC.create({ isDev: false })

function positioned(position: () => Promise<string>) {
  const stream = (async function* () {
    yield tracked('p.2', 'second')
  })()
  return Object.assign(stream, { [begins]: position })
}

const router = t.router({
  hello: t.procedure.query(() => 'hello'),
  slow: t.procedure.query(async ({ signal }) => {
    await new Promise(resolve => setTimeout(resolve, 50))
    return `slow, ${signal?.aborted ? 'aborted' : 'done'}`
  }),
  two: t.procedure.subscription(async function* () {
    yield 1
    yield 2
  }),
  open: t.procedure.subscription(async function* ({ signal }) {
    yield 'ready'
    await new Promise<void>(resolve => signal?.addEventListener('abort', () => resolve(), { once: true }))
  }),
  flood: t.procedure.subscription(async function* () {
    for (let i = 0; ; i++) yield 'x'.repeat(1_000)
  }),
  positioned: t.procedure.subscription(() => positioned(async () => 'p.1')),
  wrapped: t.procedure.subscription(async function* () {
    yield* positioned(async () => 'p.1')
  }),
  lost: t.procedure.subscription(() => positioned(() => Promise.reject(new Error('store is down')))),
})

type SseConfig = NonNullable<Parameters<typeof initTRPC.create>[0]>['sse']
type Options = Partial<SluiceOptions<typeof router>>
const start = (options: Options = {}, port = 0) => serve({ router, port, host: '127.0.0.1', ...options })

async function bodyOf(url: string): Promise<string> {
  const response = await RawResponse.open(url)
  await response.ended
  return response.text
}

/** The options in a stream's `connected` event. */
async function helloOf(url: string): Promise<unknown> {
  const [connected = ''] = (await bodyOf(url)).split('\n\n\n')
  expect(connected).toMatch(/^event: connected\ndata: /)
  return JSON.parse(connected.slice(connected.indexOf('{')))
}

describe('hosts', () => {
  const stream = 'event: connected\ndata: {}\n\n\ndata: 1\n\n\ndata: 2\n\n\nevent: return\ndata: \n\n\n'

  test('serve says where it listens, also below a base path', async () => {
    const app = await start({ basePath: 'trpc' })
    expect(app.url).toBe(`http://127.0.0.1:${app.port}/trpc`)
    expect(await bodyOf(`${app.url}/hello`)).toBe('{"result":{"data":"hello"}}')
    expect(await bodyOf(`${app.url}/two`)).toBe(stream)
    const beside = await fetch(`http://127.0.0.1:${app.port}/hello`)
    expect(beside.status).toBe(404)
    await app.close()
  })

  test('a port that is taken is an error', async () => {
    const app = await start()
    await expect(start({}, app.port)).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await app.close()
  })

  test('a Connect-like framework passes on what is not ours', async () => {
    const sluice = createSluice({ router, basePath: '/trpc/' })
    const server = http.createServer((req, res) => sluice.node(req, res, () => res.end('the page')))
    const url = await listen(server)
    expect(await bodyOf(`${url}/`)).toBe('the page')
    expect(await bodyOf(`${url}/trpc-and-more`)).toBe('the page')
    expect(await bodyOf(`${url}/trpc/two`)).toBe(stream)
    server.close()
  })

  test('HTTP/2', async () => {
    const sluice = createSluice({ router })
    const server = http2.createServer(sluice.node)
    const url = await listen(server as unknown as http.Server)
    const session = http2.connect(url)
    for (const [path, body] of [
      ['/two', stream],
      ['/hello', '{"result":{"data":"hello"}}'],
    ]) {
      const request = session.request({ ':path': path })
      let text = ''
      for await (const chunk of request.setEncoding('utf8')) text += String(chunk)
      expect(text).toBe(body)
    }
    session.close()
    server.close()
    expect(sluice.stats().subscriptions).toBe(0)
  })

  test('fetch: queries, streams, and a client that leaves', async () => {
    const sluice = createSluice({ router, basePath: '/trpc' })
    const { GET } = sluice.fetch
    const ask = (path: string, init?: RequestInit) => GET(new Request(`http://host/trpc/${path}`, init))
    expect(await (await ask('hello')).text()).toBe('{"result":{"data":"hello"}}')
    const response = await ask('two')
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    expect(await response.text()).toBe(stream)
    expect((await ask('nowhere')).status).toBe(404)
    expect((await sluice.fetch(new Request('http://host/two'))).status).toBe(404)

    const reader = (await ask('open')).body?.getReader()
    await reader?.read()
    await reader?.cancel()
    await eventually(() => sluice.stats().subscriptions === 0)

    const leaving = new AbortController()
    await ask('open', { signal: leaving.signal })
    leaving.abort()
    await eventually(() => sluice.stats().subscriptions === 0)
  })

  test('fetch: a reader that does not read is not written to', async () => {
    const sluice = createSluice({ router })
    const response = await sluice.fetch(new Request('http://host/flood'))
    await eventually(() => sluice.stats().bufferedBytes > 64 * 1024)
    const { eventsOut } = sluice.stats()
    expect(eventsOut).toBeLessThan(70)
    const reader = response.body?.getReader()
    for (let i = 0; i < 100; i++) await reader?.read()
    expect(sluice.stats().eventsOut).toBeGreaterThan(eventsOut)
    await reader?.cancel()
    await eventually(() => sluice.stats().subscriptions === 0)
  })
})

describe('extensions', () => {
  test('the position is told to a client that asked, and to no other', async () => {
    const app = await start()
    const heard = async (query: string, path: string) => {
      const socket = await RawWebSocket.open(app.url + query)
      socket.subscribe(1, path)
      await socket.count(1)
      await socket.close()
      return socket.frames[0]
    }
    const plain = '{"id":1,"result":{"type":"started"}}'
    expect(await heard('?sluice=1', 'positioned')).toBe(
      '{"id":1,"result":{"type":"started","position":"p.1"}}',
    )
    expect(await heard('', 'positioned')).toBe(plain)
    expect(await heard('?sluice=2', 'positioned')).toBe(plain)
    expect(await heard('?sluice=1', 'wrapped')).toBe(plain)
    expect(await heard('?sluice=1', 'lost')).toContain('store is down')

    expect(await helloOf(`${app.url}/positioned?sluice=1`)).toMatchObject({ position: 'p.1' })
    expect(await helloOf(`${app.url}/positioned`)).toEqual({})
    expect(await helloOf(`${app.url}/positioned?sluice=2`)).toEqual({})
    expect(await helloOf(`${app.url}/wrapped?sluice=1`)).not.toHaveProperty('position')
    expect(await bodyOf(`${app.url}/lost?sluice=1`)).toContain('event: serialized-error\n')
    expect(app.sluice.stats().subscriptions).toBe(0)
    await app.close()
  })

  test.each<[string, SseConfig, number | undefined]>([
    ['of ours', undefined, 30_000],
    [
      'of ours, below the silence that the app allows',
      { client: { reconnectAfterInactivityMs: 5_000 } },
      2_500,
    ],
    ["of the app's own", { ping: { enabled: true, intervalMs: 60_000 } }, 60_000],
    ["of the app's own, at tRPC's interval", { ping: { enabled: true } }, 1_000],
    ['that the app has switched off', { ping: { enabled: false } }, undefined],
    ['that never come', { ping: { enabled: true, intervalMs: Infinity } }, undefined],
  ])(
    'the interval of pings %s is told over SSE as it is, and only to a client that asked',
    async (_, sse, pingMs) => {
      const pinging = initTRPC.create({ isDev: false, sse })
      const one = pinging.procedure.subscription(async function* () {
        yield 1
      })
      await using app = await serve({ router: pinging.router({ one }), port: 0, host: '127.0.0.1' })
      const stock = sse?.client ?? {}
      expect(await helloOf(`${app.url}/one?sluice=1`)).toEqual(
        pingMs === undefined ? stock : { ...stock, pingMs },
      )
      expect(await helloOf(`${app.url}/one`)).toEqual(stock)
    },
  )

  test('a client that asked gets a ping after 30 s of silence over SSE, a stock one as its app has it', async () => {
    const clock = createFakeClock()
    const app = await start({ clock })
    const asked = await RawResponse.open(`${app.url}/open?sluice=1`)
    const stock = await RawResponse.open(`${app.url}/open`)
    await asked.until('ready')
    await stock.until('ready')
    await clock.advance(30_000)
    await asked.until('event: ping\ndata: \n\n\n')
    expect(stock.text).not.toContain('ping')
    await app.close()
  })

  test('a silent WebSocket is asked after 30 s, and cut off 5 s later', async () => {
    const clock = createFakeClock()
    const app = await start({ clock })
    const talks = await RawWebSocket.open(app.url)
    const silent = await RawWebSocket.open(app.url)
    await talks.settled()
    await silent.settled()
    await clock.advance(30_000)
    await talks.until('PING')
    await silent.until('PING')
    talks.send('PONG')
    await talks.settled()
    await clock.advance(5_000)
    expect(await silent.closed).toEqual({ code: 1006, reason: '' })
    await talks.settled()
    await app.close()
  })
})

describe('drain and close', () => {
  test('drain turns newcomers away, tells clients to go, and waits for them', async () => {
    const app = await start()
    const socket = await RawWebSocket.open(app.url)
    socket.subscribe(1, 'open')
    await socket.until('ready')
    const response = await RawResponse.open(`${app.url}/open`)
    await response.until('ready')

    const drained = app.sluice.drain({ withinMs: 60_000 })
    await socket.until('{"id":null,"method":"reconnect"}')
    // Ended without a return event: the client comes back, with its cursor.
    expect(await response.ended).toBe('complete')
    expect(response.text).not.toContain('return')

    expect(app.sluice.stats().draining).toBe(true)
    await expect(RawWebSocket.open(app.url)).rejects.toThrow('refused with 503')
    const refused = await RawResponse.open(`${app.url}/two`)
    await refused.ended
    expect(refused.status).toBe(503)
    expect(JSON.parse(refused.text)).toMatchObject({ error: { data: { sluice: { code: 'DRAINING' } } } })
    // A 503 would end an EventSource for ever.
    const eventSource = await RawResponse.open(`${app.url}/two`, { headers: { accept: 'text/event-stream' } })
    await eventSource.ended
    expect(eventSource.status).toBe(200)
    expect(eventSource.text).toMatch(/event: serialized-error\ndata: {.*"code":"SERVICE_UNAVAILABLE"/)
    expect(eventSource.headers.connection).toBe('close')
    // What is no stream is still answered.
    expect(await bodyOf(`${app.url}/hello`)).toContain('hello')
    socket.send({ id: 2, method: 'query', params: { path: 'slow' } })
    socket.send({ id: 1, method: 'subscription.stop' })

    await drained
    expect(await socket.closed).toEqual({ code: 1012, reason: 'service restart' })
    expect(socket.frames).toContain('{"id":2,"result":{"type":"data","data":"slow, done"}}')
    await app.close()
  })

  test('drain cuts off who is still there when the time is over', async () => {
    const clock = createFakeClock()
    const app = await start({ clock })
    const socket = await RawWebSocket.open(app.url)
    socket.subscribe(1, 'open')
    await socket.until('ready')
    const drained = app.sluice.drain({ withinMs: 1_000 })
    await socket.until('reconnect')
    await clock.advance(1_000)
    await drained
    expect((await socket.closed).code).toBe(1012)
    await app.close()
  })

  test('close may be called again, and by all at once', async () => {
    const app = await start()
    const socket = await RawWebSocket.open(app.url)
    socket.subscribe(1, 'open')
    await socket.until('ready')
    await Promise.all([app.close(), app.sluice.close(), app.sluice.drain(), app.close()])
    await app.sluice.drain()
    expect((await socket.closed).code).toBe(1012)
    expect(app.sluice.stats()).toMatchObject({ subscriptions: 0, connections: { websocket: 0, sse: 0 } })
  })

  test('stats count what goes', async () => {
    const app = await start()
    const socket = await RawWebSocket.open(app.url)
    socket.subscribe(1, 'two')
    await socket.count(4)
    const response = await RawResponse.open(`${app.url}/open`)
    await response.until('ready')
    const stats = app.sluice.stats()
    const payload = socket.frames.join('').length + response.text.length
    // With what the carriers put around each message.
    expect(stats.bytesOut).toBeGreaterThan(payload)
    expect(stats.bytesOut).toBeLessThan(payload + 64)
    expect(stats).toEqual({
      connections: { websocket: 1, stream: 0, sse: 1 },
      subscriptions: 1,
      subscriptionsByPath: { open: 1 },
      bufferedBytes: 0,
      messagesIn: 1,
      bytesIn: '{"id":1,"method":"subscription","params":{"path":"two"}}'.length,
      eventsOut: 3,
      bytesOut: stats.bytesOut,
      compression: { bytesIn: 0, bytesOut: 0 },
      subscribers: { live: 0, behind: 0, lag: { total: 0, max: 0, maxMs: 0 } },
      resumes: { ring: 0, store: 0, missed: 0 },
      dropped: { conflate: 0, dropOldest: 0, disconnect: 0 },
      stalls: 0,
      encodings: { hits: 0, misses: 0 },
      overstayed: 0,
      refused: 0,
      refusals: {},
      eventLoop: null,
      draining: false,
    })
    await app.close()
  })
})
