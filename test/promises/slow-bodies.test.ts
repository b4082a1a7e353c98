/**
 * Promise 7: a request that arrives slowly, or never, is waited for as long as `limits.requestMs` says, on every host.
 * Then it is refused in a typed way, counted, and cut off; two neighbours on the same server notice nothing, and over
 * HTTP/2 neither do those on the same connection.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import http2 from 'node:http2'
import { createHTTPHandler } from 'trpc-sluice/server'
import type { Clock } from 'trpc-sluice/shared'
import { describe, expect, test } from 'vitest'
import type { Http2Client } from '../interop/support/http2-client.ts'
import { RawResponse } from '../interop/support/raw-http.ts'
import { RawTcp } from '../interop/support/raw-tcp.ts'
import { eventually } from '../kit/deadline.ts'
import { createFakeClock } from '../kit/fake-clock.ts'
import { listen } from '../support/listen.ts'
import { startHttp2, startOwnServer } from './support/front.ts'
import { post, router, startWithNeighbours } from './support/neighbours.ts'

const requestMs = 60_000

async function start() {
  const clock = createFakeClock()
  const errors: string[] = []
  const app = await startWithNeighbours({
    clock,
    allowMethodOverride: true,
    keepAlive: { enabled: false },
    onError: ({ error }) => errors.push(error.message),
  })
  /** Of calls, by how they ended: null is well. */
  const ended: { readonly path: string | undefined; readonly error: unknown }[] = []
  const begun: (string | undefined)[] = []
  app.sluice.observe(({ path }) => {
    begun.push(path)
    return { run: work => work(), end: error => void ended.push({ path, error }) }
  })
  return {
    ...app,
    clock,
    errors,
    ended,
    /** Settles when the server waits for the rest of a request. */
    async waitsFor({ path }: Kind) {
      const { sluice } = app
      await eventually(() => begun.includes(path.slice(1)) || sluice.stats().connections.stream === 1)
    },
    /** Nothing is left of one who was refused, nothing came of it, and nobody was told but he. */
    async settle({ path, type }: Kind) {
      await app.calm()
      await eventually(() => app.sluice.stats().connections.stream === 0)
      expect(app.sluice.stats().connections).toEqual({ websocket: 1, stream: 0, sse: 1 })
      expect(app.refusals()).toEqual({ SILENT_PEER: 1 })
      const ends = () => ended.filter(call => call.path === path.slice(1))
      if (type !== json) {
        await eventually(() => ends().length > 0)
        expect(ends()).toMatchObject([{ error: { cause: { name: 'AbortError' } } }])
      }
      // A subscription that was stopped has ended well.
      if (path === '/save') expect(ends()).toEqual([])
      expect(errors).toEqual([])
    },
  }
}

type App = Awaited<ReturnType<typeof start>>

interface Kind {
  readonly path: string
  readonly type: string
  /** Whole by itself, wherever it can be, but not all that was announced. */
  readonly bytes: string
}

const json = 'application/json'
const kinds: Record<string, Kind> = {
  'a mutation': { path: '/save', type: json, bytes: '1' },
  'a subscription': { path: '/quiet', type: json, bytes: '1' },
  'a stream of many': { path: '/:stream?sluice=1', type: json, bytes: '{"subscriptions":[]}' },
  'a stream of bytes': { path: '/upload', type: 'application/octet-stream', bytes: 'x' },
}

const tooLate = {
  error: {
    message: `The request did not arrive as a whole within ${requestMs} ms.`,
    data: { code: 'TIMEOUT', httpStatus: 408, sluice: { code: 'SILENT_PEER', retry: 'resume' } },
  },
}

/** A request whose body does not end. */
interface Slow {
  send(byte: string): void
  /** Settles when the server has seen what was sent. */
  seen(): Promise<void>
  /** What it is answered, once it is cut off. */
  answer(): Promise<{ readonly status: number; readonly body: string }>
}

function headOf({ path, type }: Kind): string {
  return `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\nContent-Length: 1000\r\n\r\n`
}

async function overTcp(port: number, kind: Kind): Promise<Slow> {
  const tcp = await RawTcp.open(port)
  tcp.write(headOf(kind) + kind.bytes)
  return {
    send: byte => tcp.write(byte),
    seen: async () => void (await fetch(`http://127.0.0.1:${port}/echo`)),
    async answer() {
      await tcp.closed
      const [head = '', body = ''] = tcp.received.toString().split('\r\n\r\n')
      expect(head).toContain('\r\nConnection: close')
      return { status: Number(/^HTTP\/1.1 (\d+)/.exec(head)?.[1]), body }
    },
  }
}

function requestOver({ session }: Http2Client, { path, type, bytes }: Kind) {
  const stream = session.request({ ':path': path, ':method': 'POST', 'content-type': type })
  stream.on('error', () => {}) // it is cut off
  stream.write(bytes)
  return stream
}

function overHttp2(client: Http2Client, kind: Kind): Slow {
  const stream = requestOver(client, kind)
  let status = 0
  let body = ''
  stream.on('response', headers => (status = headers[':status'] ?? 0))
  stream.setEncoding('utf8').on('data', (text: string) => (body += text))
  const closed = once(stream, 'close')
  return {
    send: byte => stream.write(byte),
    seen: () => client.settled(),
    async answer() {
      await closed
      expect(stream.rstCode).toBe(http2.constants.NGHTTP2_NO_ERROR)
      return { status, body }
    },
  }
}

type Host = (app: App, kind: Kind) => Promise<Slow & AsyncDisposable>

const hosts: Record<string, Host> = {
  serve: async (app, kind) => ({ ...(await overTcp(app.port, kind)), [Symbol.asyncDispose]: async () => {} }),
  async "a server of one's own"(app, kind) {
    const server = await startOwnServer(app)
    const slow = await overTcp(server.port, kind)
    return { ...slow, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
  },
  async 'HTTP/2'(app, kind) {
    const server = await startHttp2(app)
    const { client } = server
    const healthy = await watch(client.session.request({ ':path': '/numbers' }))
    const slow = overHttp2(client, kind)
    return {
      ...slow,
      async answer() {
        const answer = await slow.answer()
        await healthy.goesOn()
        healthy.leave()
        expect(client.session.closed).toBe(false)
        return answer
      },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  },
}

/** A stream of numbers, from when some have come. */
async function watch(stream: http2.ClientHttp2Stream) {
  let text = ''
  stream.setEncoding('utf8').on('data', (more: string) => (text += more))
  const goesOn = async () => {
    const before = text.length
    await eventually(() => text.length > before + 100)
  }
  await goesOn()
  return { goesOn, leave: () => stream.close(http2.constants.NGHTTP2_CANCEL) }
}

describe.each(Object.entries(hosts))('through %s', (_host, open) => {
  test.each(Object.entries(kinds))('the body of %s may come in pieces, and has its time', async (_, kind) => {
    await using app = await start()
    await using slow = await open(app, kind)
    await app.waitsFor(kind)
    for (let i = 0; i < 6; i++) {
      slow.send(' ')
      await slow.seen()
      await app.clock.advance(i < 5 ? 10_000 : 9_999)
    }
    await slow.seen()
    expect(app.refusals()).toEqual({})
    await app.clock.advance(1)
    const { status, body } = await slow.answer()
    expect(status).toBe(408)
    expect(JSON.parse(body)).toMatchObject(tooLate)
    await app.settle(kind)
  })

  test.each(Object.entries(kinds))('the body of %s that does not come is not waited for', async (_, kind) => {
    await using app = await start()
    await using slow = await open(app, kind)
    await app.waitsFor(kind)
    await app.clock.advance(requestMs)
    expect((await slow.answer()).status).toBe(408)
    await app.settle(kind)
  })
})

describe('a body that is whole', () => {
  // A procedure without an input does not read it.
  const whole: Kind = { path: '/numbers', type: json, bytes: '{}' }

  test('is not late because nobody reads it, over HTTP/1.1', async () => {
    await using app = await start()
    await using server = await startOwnServer(app)
    await using response = await RawResponse.open(`${server.url}/numbers`, { ...post, body: '{}' })
    await app.clock.advance(2 * requestMs)
    const before = response.text.length
    await eventually(() => response.text.length > before + 100)
    expect(app.refusals()).toEqual({})
  })

  test('is not late because nobody reads it, over HTTP/2', async () => {
    await using app = await start()
    await using server = await startHttp2(app)
    const stream = requestOver(server.client, whole)
    stream.end()
    const numbers = await watch(stream)
    await app.clock.advance(2 * requestMs)
    await numbers.goesOn()
    expect(app.refusals()).toEqual({})
  })
})

describe('a response that has begun', () => {
  const unread: Kind = { path: '/numbers', type: json, bytes: '1' }

  test('is cut off with its connection, over HTTP/1.1', async () => {
    await using app = await start()
    await using server = await startOwnServer(app)
    using tcp = await RawTcp.open(server.port)
    tcp.write(headOf(unread) + unread.bytes)
    await tcp.until('data: 3')
    await app.clock.advance(requestMs)
    await tcp.closed
    expect(tcp.received.toString()).not.toContain('408')
    await app.settle(unread)
  })

  test('is cut off alone, over HTTP/2', async () => {
    await using app = await start()
    await using server = await startHttp2(app)
    const healthy = await watch(server.client.session.request({ ':path': '/numbers' }))
    const stream = requestOver(server.client, unread)
    await watch(stream)
    const closed = once(stream, 'close')
    await app.clock.advance(requestMs)
    await closed
    expect(stream.rstCode).toBe(http2.constants.NGHTTP2_CANCEL)
    await healthy.goesOn()
    healthy.leave()
    await app.settle(unread)
  })
})

test('who does not take the answer, either, is cut off without it', async () => {
  await using app = await start()
  const [mutation] = Object.values(kinds) as [Kind]
  await using server = await startHttp2(app, { initialWindowSize: 0 })
  const stream = requestOver(server.client, mutation)
  const closed = once(stream, 'close')
  await app.waitsFor(mutation)
  await app.clock.advance(requestMs)
  await server.client.settled()
  expect(stream.closed).toBe(false)
  await app.clock.advance(2_000)
  await closed
  await app.settle(mutation)
})

test.each([
  ['with its stream', (stream: http2.ClientHttp2Stream) => stream.destroy()],
  ['with its connection', (stream: http2.ClientHttp2Stream) => stream.session?.destroy()],
])('a body that breaks off over HTTP/2 %s is not taken for a whole one', async (_, breakOff) => {
  await using app = await start()
  await using server = await startHttp2(app)
  const [mutation] = Object.values(kinds) as [Kind]
  const stream = requestOver(server.client, mutation)
  await app.waitsFor(mutation)
  breakOff(stream)
  await using another = await startHttp2(app)
  await another.client.ask('/echo')
  await another.client.ask('/echo')
  expect(app.ended.filter(({ path }) => path === 'save')).toEqual([])
  expect(app.refusals()).toEqual({})
})

describe('through sluice.fetch', () => {
  test.each(Object.entries(kinds))('the body of %s that does not come is not waited for', async (_, kind) => {
    await using app = await start()
    let cancelled = false
    const body = new ReadableStream({
      start: controller => controller.enqueue(new TextEncoder().encode(kind.bytes)),
      cancel: () => void (cancelled = true),
    })
    const request = { method: 'POST', headers: { 'content-type': kind.type }, body, duplex: 'half' }
    const answered = app.sluice.fetch(new Request(app.url + kind.path, request as RequestInit))
    await app.waitsFor(kind)
    await app.clock.advance(requestMs - 1)
    expect(app.refusals()).toEqual({})
    await app.clock.advance(1)
    const answer = await answered
    expect(answer.status).toBe(408)
    expect(await answer.json()).toMatchObject(tooLate)
    expect(cancelled).toBe(true)
    await app.calm()
    expect(app.refusals()).toEqual({ SILENT_PEER: 1 })
  })

  test('a body that is read in time is not late, nor is one that is not read', async () => {
    await using app = await start()
    const answer = await app.sluice.fetch(new Request(`${app.url}/save`, { ...post, body: '7' }))
    expect(await answer.json()).toEqual({ result: { data: 7 } })
    const body = new ReadableStream()
    const request = { ...post, body, duplex: 'half' } as RequestInit
    const stream = await app.sluice.fetch(new Request(`${app.url}/numbers`, request))
    await app.clock.advance(2 * requestMs)
    expect(app.refusals()).toEqual({})
    await stream.body?.cancel()
    await app.calm()
  })
})

test("tRPC's own adapter by name waits as long as tRPC's does", async () => {
  const clock = createFakeClock()
  // The clock is no option of tRPC's.
  const options: Parameters<typeof createHTTPHandler<typeof router>>[0] & { clock: Clock } = {
    router,
    createContext: () => ({ params: null }),
    clock,
  }
  await using server = await listen(createServer(createHTTPHandler(options)))
  using tcp = await RawTcp.open(server.port)
  tcp.write(`POST /save HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${json}\r\nContent-Length: 2\r\n\r\n1`)
  await fetch(`${server.url}/echo`)
  await clock.advance(60 * requestMs)
  tcp.write('2')
  await tcp.until('{"result":{"data":12}}')
})
