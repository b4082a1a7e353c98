/**
 * Promise 7: limits on everything that a stranger can send or hold. Whoever breaks one is refused in a typed way and
 * counted, and two neighbours on the same server, one over each carrier, notice nothing.
 */
import type { IncomingMessage } from 'node:http'
import { initTRPC } from '@trpc/server'
import superjson from 'superjson'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { serve, type SluiceOptions } from 'trpc-sluice/server'
import { eventually } from '../kit/deadline.ts'
import { createFakeClock } from '../kit/fake-clock.ts'
import { withPeer } from '../interop/support/peers.ts'
import { RawResponse } from '../interop/support/raw-http.ts'
import { frame, RawTcp, upgradeHead } from '../interop/support/raw-tcp.ts'
import { RawWebSocket } from '../interop/support/raw-websocket.ts'

function createRouter(config: { transformer?: typeof superjson } = {}) {
  const t = initTRPC.context<{ params: unknown }>().create({ isDev: false, ...config })
  return t.router({
    numbers: t.procedure.subscription(async function* ({ signal }) {
      for (let i = 1; !signal?.aborted; i++) {
        yield i
        await new Promise(resolve => setTimeout(resolve, 2))
      }
    }),
    quiet: t.procedure.input(z.unknown()).subscription(async function* ({ signal }) {
      await new Promise<void>(resolve => signal?.addEventListener('abort', () => resolve(), { once: true }))
      yield* []
    }),
    echo: t.procedure.input(z.unknown()).query(({ input }) => input),
    save: t.procedure.input(z.unknown()).mutation(({ input }) => input),
    params: t.procedure.query(({ ctx }) => ctx.params),
  })
}

const router = createRouter()
type Options = Partial<SluiceOptions<typeof router>>

/** A server, with two who behave and to whom all that is due must come. */
async function start(options: Options = {}) {
  const served = await serve({
    router,
    port: 0,
    host: '127.0.0.1',
    createContext: ({ info }) => ({ params: info.connectionParams }),
    ...options,
  })
  const { url, port, sluice } = served
  const socket = await RawWebSocket.open(url)
  socket.subscribe('neighbour', 'numbers', { json: null }) // which superjson wants, and JSON lets pass
  const response = await RawResponse.open(`${url}/numbers`)

  const overSocket = () => socket.frames.flatMap(frame => /"data":(?:{"json":)?(\d+)/.exec(frame)?.[1] ?? [])
  const overSse = () =>
    [...response.text.matchAll(/^data: (?:{"json":)?(\d+)}?$/gm)].map(([, number]) => number)
  const numbers = () => [overSocket(), overSse()]
  const refusals = () => sluice.stats().refusals
  return {
    url,
    port,
    sluice,
    refusals,
    /** Only the neighbours are left. */
    calm: () => eventually(() => sluice.stats().subscriptions === 2, { what: 'the others to have left' }),
    async [Symbol.asyncDispose]() {
      const before = numbers().map(({ length }) => length)
      await eventually(() => numbers().every(({ length }, index) => length > (before[index] ?? 0) + 3))
      for (const seen of numbers()) expect(seen).toEqual(seen.map((_, index) => String(index + 1)))
      await served.close()
    },
  }
}

const query = (id: number, input?: unknown, path = 'echo') => ({
  id,
  method: 'query',
  params: { path, input },
})
const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
const deepQuery = (levels: number) => JSON.stringify(query(1, 'here')).replace('"here"', deep(levels))
const keys = (count: number) => `{${Array.from({ length: count }, (_, i) => `"${i}":0`).join(',')}}`
const post = { method: 'POST', headers: { 'content-type': 'application/json' } }

describe('messages per second', () => {
  const limits = { messagesPerSecond: 10, maxMessageBurst: 20 }

  test('more than the burst close the connection, with a code that lets a client come back later', async () => {
    await using app = await start({ clock: createFakeClock(), limits })
    await using socket = await RawWebSocket.open(app.url)
    for (let id = 1; id <= 25; id++) socket.send(query(id, id))
    expect(await socket.closed).toEqual({ code: 4503, reason: 'too many messages' })
    expect(app.refusals()).toEqual({ TOO_MANY_MESSAGES: 1 })
  })

  test('come back with the time', async () => {
    const clock = createFakeClock()
    await using app = await start({ clock, limits })
    await using socket = await RawWebSocket.open(app.url)
    for (let id = 1; id <= 20; id++) socket.send(query(id, id))
    await socket.count(20)
    await clock.advance(1_000)
    for (let id = 21; id <= 30; id++) socket.send(query(id, id))
    await socket.count(30)
    socket.send(query(31))
    expect((await socket.closed).code).toBe(4503)
  })

  test('are counted one by one in a batch, and none of a batch that is too much is carried out', async () => {
    await using app = await start({ clock: createFakeClock(), limits })
    await using socket = await RawWebSocket.open(app.url)
    socket.send(Array.from({ length: 21 }, (_, id) => query(id, id)))
    expect((await socket.closed).code).toBe(4503)
    expect(socket.frames).toEqual([])
  })

  test('include pings: a flood of them, from one who takes no goodbye, is cut', async () => {
    await using app = await start({ limits })
    using tcp = await RawTcp.upgrade(app.port)
    tcp.write(Buffer.concat(Array.from({ length: 10_000 }, () => frame(0x89, 'ping'))))
    await tcp.untilClosedWith(4503)
    await tcp.closed
    expect(app.refusals()).toEqual({ TOO_MANY_MESSAGES: 1 })
  })
})

describe('a batch', () => {
  test('of 10,000 subscriptions is refused as a whole, and the connection stays in use', async () => {
    await using app = await start()
    await using socket = await RawWebSocket.open(app.url)
    const subscribe = (id: number) => ({ id, method: 'subscription', params: { path: 'quiet' } })
    socket.send(Array.from({ length: 10_000 }, (_, id) => subscribe(id)))
    const [answer = ''] = await socket.count(1)
    expect(JSON.parse(answer)).toMatchObject({
      id: null,
      error: {
        data: { code: 'BAD_REQUEST', sluice: { code: 'BATCH_TOO_LONG', data: { limit: 1_000 } } },
      },
    })
    socket.send(Array.from({ length: 1_000 }, (_, id) => subscribe(id)))
    await eventually(() => app.sluice.stats().subscriptions === 1_002)
    expect(app.refusals()).toEqual({ BATCH_TOO_LONG: 1 })
  })

  test('of HTTP has the same limit', async () => {
    await using app = await start({ limits: { maxBatchLength: 3 } })
    expect((await fetch(`${app.url}/echo,echo,echo?batch=1`)).status).toBe(200)
    expect((await fetch(`${app.url}/echo,echo,echo,echo?batch=1`)).status).toBe(400)
  })
})

describe('input', () => {
  const tooDeep = {
    data: { code: 'BAD_REQUEST', sluice: { code: 'INPUT_TOO_DEEP', data: { limit: 64 } } },
  }

  test.each([65, 100_000])('nested %i deep is refused on every way in', async levels => {
    await using app = await start()
    await using socket = await RawWebSocket.open(app.url)
    socket.send(deepQuery(levels))
    const [answer = ''] = await socket.count(1)
    expect(JSON.parse(answer)).toMatchObject({ error: tooDeep })

    const saved = await RawResponse.open(`${app.url}/save`, { ...post, body: deep(levels) })
    await saved.ended
    expect(saved.status).toBe(400)
    expect(JSON.parse(saved.text)).toMatchObject({ error: tooDeep })

    // A URL of more than 16 KiB is refused by Node.
    const stream = await RawResponse.open(`${app.url}/quiet?input=${deep(Math.min(levels, 5_000))}`)
    await stream.ended
    expect(stream.text).toContain('"code":"INPUT_TOO_DEEP"')
    expect(app.refusals()).toEqual({ INPUT_TOO_DEEP: 3 })
  })

  test('nested 64 deep is not', async () => {
    await using app = await start()
    await using socket = await RawWebSocket.open(app.url)
    socket.send(deepQuery(64))
    await socket.until(`"data":${deep(64)}`)
  })

  test('of 1,000,000 keys is too large, and of as many as fit is answered', async () => {
    await using app = await start()
    await using socket = await RawWebSocket.open(app.url)
    const wide = (count: number) => JSON.stringify(query(1, 'here')).replace('"here"', keys(count))
    socket.send(wide(100_000))
    await socket.until('"99999":0')
    socket.send(wide(1_000_000))
    expect((await socket.closed).code).toBe(1009)
    const body = keys(1_000_000)
    const saved = await fetch(`${app.url}/save`, { ...post, body })
    expect(saved.status).toBe(413)
    expect(app.refusals()).toEqual({ PAYLOAD_TOO_LARGE: 2 })
  })

  const evil =
    '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"then":{"then":1},"toString":0}'

  test('with __proto__, constructor and then pollutes nothing and stalls nothing', async () => {
    await using app = await start()
    await using socket = await RawWebSocket.open(`${app.url}?connectionParams=1`)
    socket.send(`{"method":"connectionParams","data":{"__proto__":"x","constructor":"y","then":"z"}}`)
    socket.send(query(1, undefined, 'params'))
    await socket.until('"then":"z"')
    socket.send(JSON.stringify(query(2, 'here')).replace('"here"', evil))
    await socket.until('"id":2')
    const saved = await fetch(`${app.url}/save`, { ...post, body: evil })
    expect(saved.status).toBe(200)
    const stream = await RawResponse.open(`${app.url}/quiet?input=${encodeURIComponent(evil)}`)
    await stream.until('connected')
    stream.leave()
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    await app.calm()
  })

  test.each([
    ['values', '{"values":{"__proto__.polluted":["Date"],"constructor.prototype.polluted":["Date"]}}'],
    ['references', '{"referentialEqualities":{"a":["__proto__.polluted","constructor.prototype.polluted"]}}'],
    ['custom types', '{"values":{"a":[["custom","__proto__"]],"b":[["class","constructor"]]}}'],
    ['nonsense', '{"values":"then","referentialEqualities":1}'],
  ])('with hostile %s in the metadata of superjson is refused or harmless', async (_, meta) => {
    await using app = await start({ router: createRouter({ transformer: superjson }) } as object)
    await using socket = await RawWebSocket.open(app.url)
    const input = `{"json":{"a":{"polluted":"2020-01-01"},"b":1},"meta":${meta}}`
    socket.send(JSON.stringify(query(1, 'here')).replace('"here"', input))
    await socket.count(1)
    const saved = await fetch(`${app.url}/save`, { ...post, body: input })
    expect([200, 400]).toContain(saved.status)
    await socket.settled()
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })
})

describe('subscriptions', () => {
  test('started and stopped 10,000 times leave nothing behind', async () => {
    await using app = await start()
    await using socket = await RawWebSocket.open(app.url)
    for (let id = 1; id <= 10_000; id++) {
      socket.subscribe(id, 'quiet')
      socket.send({ id, method: 'subscription.stop' })
    }
    await eventually(() => socket.frames.filter(frame => frame.includes('stopped')).length > 0)
    await app.calm()
    expect(app.refusals()).toEqual({})
  })

  test('more than a connection may have are counted as refused', async () => {
    await using app = await start({ limits: { maxSubscriptions: 1 } })
    await using socket = await RawWebSocket.open(app.url)
    socket.subscribe(1, 'quiet')
    socket.subscribe(2, 'quiet')
    await socket.until('TOO_MANY_SUBSCRIPTIONS')
    expect(app.refusals()).toEqual({ TOO_MANY_SUBSCRIPTIONS: 1 })
  })
})

describe('connections', () => {
  test('in all: one more is refused with 503 and Retry-After, until one leaves', async () => {
    await using app = await start({ limits: { maxConnections: 3 } })
    const last = await RawWebSocket.open(app.url)
    using tcp = await RawTcp.open(app.port)
    tcp.write(upgradeHead())
    await tcp.until('\r\n\r\n')
    expect(tcp.received.toString()).toMatch(/^HTTP\/1.1 503 [^]*Retry-After: 5\r\n/)
    const stream = await RawResponse.open(`${app.url}/quiet`)
    await stream.ended
    expect(stream).toMatchObject({ status: 503, headers: { 'retry-after': '5' } })
    expect(JSON.parse(stream.text)).toMatchObject({ error: { data: { sluice: { code: 'SERVER_FULL' } } } })
    expect(app.refusals()).toEqual({ SERVER_FULL: 2 })
    // What holds nothing is still answered.
    expect((await fetch(`${app.url}/echo`)).status).toBe(200)
    await last.close()
    await eventually(() => app.sluice.stats().connections.websocket === 1)
    await (await RawWebSocket.open(app.url)).close()
  })

  test('of one address: one more is refused with 429 and Retry-After, and not those of others', async () => {
    await using app = await start({
      limits: { maxConnectionsPerAddress: 2 },
      addressOf: ({ headers }: IncomingMessage) => String(headers['x-real-ip']),
    })
    const from = (address: string) => ({ 'x-real-ip': address })
    const first = await RawWebSocket.open(app.url, from('192.0.2.1'))
    const stream = await RawResponse.open(`${app.url}/quiet`, { headers: from('192.0.2.1') })
    await expect(RawWebSocket.open(app.url, from('192.0.2.1'))).rejects.toThrow('refused with 429')
    const refused = await RawResponse.open(`${app.url}/quiet`, { headers: from('192.0.2.1') })
    expect(refused).toMatchObject({ status: 429, headers: { 'retry-after': '5' } })
    expect(app.refusals()).toEqual({ TOO_MANY_CONNECTIONS: 2 })
    await (await RawWebSocket.open(app.url, from('192.0.2.2'))).close()
    await first.close()
    stream.leave()
    await app.calm()
    await (await RawWebSocket.open(app.url, from('192.0.2.1'))).close()
  })

  test('that are opened and reset, 1,000 of them, leave nothing behind', async () => {
    await using app = await start({ limits: { maxConnections: 100 } })
    for (let round = 0; round < 20; round++) {
      const peers = await Promise.all(Array.from({ length: 50 }, () => RawTcp.open(app.port)))
      for (const [index, peer] of peers.entries()) {
        if (index % 3 > 0) peer.write(upgradeHead())
        if (index % 3 > 1)
          peer.write(frame(0x81, '{"id":1,"method":"subscription","params":{"path":"quiet"}}'))
        peer.cut()
      }
    }
    await app.calm()
    await eventually(() => app.sluice.stats().connections.websocket === 1)
    await (await RawWebSocket.open(app.url)).close()
  })
})

describe('frames', () => {
  test.each([
    ['16,383 fragments of a message that never ends', fragments(16_383), 1008, 'PAYLOAD_TOO_LARGE'],
    ['a length of 64 bits', [0x82, 0xff, 0xff, ...Array(13).fill(0xff)], 1009, 'PAYLOAD_TOO_LARGE'],
    ['text that is not UTF-8', [0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 1007, 'MESSAGE_INVALID'],
  ])('with %s close their connection, and no other', async (_, bytes, close, code) => {
    await using app = await start()
    using tcp = await RawTcp.upgrade(app.port)
    tcp.write(Uint8Array.from(bytes))
    await tcp.untilClosedWith(close)
    expect(app.refusals()).toEqual({ [code]: 1 })
  })
})

describe('silence', () => {
  test('instead of connection params is heard for 3 s', async () => {
    const clock = createFakeClock()
    await using app = await start({ clock, keepAlive: { enabled: false } })
    await using socket = await RawWebSocket.open(`${app.url}?connectionParams=1`)
    await socket.settled()
    await clock.advance(2_999)
    await socket.settled()
    await clock.advance(1)
    expect((await socket.closed).code).toBe(4508)
    expect(app.refusals()).toEqual({ SILENT_PEER: 1 })
  })

  test('of one who wants nothing is heard for 10 min, heartbeats or not', async () => {
    const clock = createFakeClock()
    await using app = await start({ clock, keepAlive: { enabled: false } })
    await using socket = await RawWebSocket.open(app.url)
    socket.send(query(1))
    await socket.count(1)
    await clock.advance(300_000)
    socket.subscribe(2, 'quiet')
    await socket.until('started')
    await clock.advance(3_600_000)
    socket.send({ id: 2, method: 'subscription.stop' })
    await socket.until('stopped')
    await clock.advance(599_999)
    await socket.settled() // a heartbeat
    await clock.advance(1)
    expect(await socket.closed).toEqual({ code: 4508, reason: 'idle' })
    expect(app.refusals()).toEqual({ IDLE: 1 })
  })

  test.each([
    ['in the middle of its head', 'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n'],
    [
      'in the middle of its body',
      'POST /save HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n[',
    ],
  ])('of a request %s ends with 408', async (_, bytes) => {
    await using app = await start({ limits: { requestHeadMs: 100, requestMs: 200 } })
    using tcp = await RawTcp.open(app.port)
    tcp.write(bytes)
    await tcp.closed
    expect(tcp.received.toString()).toMatch(/^HTTP\/1.1 408 /)
    expect(app.refusals()).toEqual({ SILENT_PEER: 1 })
  })
})

test("tRPC's own adapters by name have tRPC's own limits, which is none", async () => {
  await withPeer('ours', router, {}, async peer => {
    const socket = await peer.open()
    socket.send(Array.from({ length: 2_000 }, (_, id) => query(id, id)))
    await socket.count(2_000)
    socket.send(deepQuery(100))
    await socket.until(deep(100))
    const answer = await fetch(`${peer.url}/${Array(1_500).fill('echo').join(',')}?batch=1`)
    expect(answer.status).toBe(200)
  })
})

function fragments(count: number): number[] {
  // The first says that it is text, and none that it is the last.
  return Array.from({ length: count }, (_, i) => [...frame(i === 0 ? 0x01 : 0x00, 'x')]).flat()
}
