/** `compression`: what goes over the network with it, who can read that, and that nobody sees it who should not. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { constants, createGunzip, gunzipSync, inflateRawSync } from 'node:zlib'
import { initTRPC } from '@trpc/server'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createTopic, resumable, serve, type SluiceOptions } from 'trpc-sluice/server'
import { iterate } from 'trpc-sluice/client'
import { msgpackCodec } from 'trpc-sluice/codecs/msgpack'
import { createHarness } from 'trpc-sluice/testing'
import { eventually } from '../kit/deadline.ts'
import { RawResponse } from './support/raw-http.ts'
import { frame, RawTcp } from './support/raw-tcp.ts'
import { RawWebSocket } from './support/raw-websocket.ts'

const text = (n: number, length = 40) => `${n}: ${'the quick brown fox '.repeat(length / 20)}`
const Event = z.object({ n: z.number(), text: z.string() })

function createApp() {
  const t = initTRPC.create({ isDev: false })
  const topic = createTopic({ name: 'news', event: Event, retain: { maxEvents: 1_000 } })
  const router = t.router({
    news: t.procedure
      .input(resumable())
      .subscription(({ input, signal }) => topic.subscribe('all', { after: input.lastEventId, signal })),
    own: t.procedure.subscription(async function* () {
      yield text(1)
      yield text(2, 4_000)
    }),
    /** What does not shrink by itself, and in another turn what does. */
    apart: t.procedure.subscription(async function* () {
      yield 1
      await setImmediate() // after what was sent in this turn has gone
      yield text(2, 4_000)
    }),
    large: t.procedure.query(() => text(0, 100_000)),
  })
  let last = 0
  const publishNext = (length?: number) => {
    last += 1
    return topic.publish('all', { n: last, text: text(last, length) })
  }
  /** Publishes the next events in one turn, so that they are one batch. */
  const publish = (events: number, length?: number) =>
    Promise.all(Array.from({ length: events }, () => publishNext(length)))
  return { router, publish }
}

async function start(options: Partial<SluiceOptions<ReturnType<typeof createApp>['router']>> = {}) {
  const app = createApp()
  const served = await serve({
    router: app.router,
    port: 0,
    host: '127.0.0.1',
    compression: true,
    ...options,
  })
  return Object.assign(app, served)
}

const offer = 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits'
const textFrame = 0x81
const deflatedTextFrame = 0xc1

/** A WebSocket of which every byte is seen, with the first subscription on it. */
async function subscribeRaw(port: number, path = '/', headers: string[] = [offer]): Promise<RawTcp> {
  const raw = await RawTcp.upgrade(port, path, ...headers)
  raw.write(frame(textFrame, '{"id":1,"method":"subscription","params":{"path":"news","input":{}}}'))
  await raw.until('"started"')
  raw.received = Buffer.alloc(0)
  return raw
}

/** A server's frames, which are not masked. */
function framesIn(bytes: Buffer) {
  const frames: { first: number; payload: Buffer; text: string }[] = []
  for (let at = 0; at + 2 <= bytes.length;) {
    const [first = 0, short = 0] = bytes.subarray(at)
    const [head, length] = short < 126 ? [2, short] : [4, bytes.readUInt16BE(at + 2)]
    if (at + head + length > bytes.length) break
    const payload = bytes.subarray(at + head, at + head + length)
    const whole = first === deflatedTextFrame ? inflate(payload) : payload
    frames.push({ first, payload, text: whole.toString() })
    at += head + length
  }
  return frames
}

function inflate(payload: Buffer): Buffer {
  return inflateRawSync(Buffer.concat([payload, Buffer.from([0, 0, 0xff, 0xff])]), {
    finishFlush: constants.Z_SYNC_FLUSH,
  })
}

/** The numbers of the events in frames, single or batched. */
function numbersIn(raw: RawTcp): number[] {
  const messages = framesIn(raw.received).flatMap(({ text }) => JSON.parse(text) as unknown)
  return messages.flatMap(
    message => (message as { result: { data: { data: { n: number } } } }).result.data.data.n,
  )
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n + 1)

async function untilNumbers(count: number, ...all: RawTcp[]): Promise<void> {
  await eventually(() => all.every(raw => numbersIn(raw).length === count), { what: `${count} events` })
  for (const raw of all) expect(numbersIn(raw)).toEqual(upTo(count))
}

describe('over WebSocket', () => {
  test('nothing is negotiated unless the application turns it on', async () => {
    await using app = await start({ compression: undefined })
    using raw = await RawTcp.upgrade(app.port, '/', offer)
    expect(raw.head).not.toContain('permessage-deflate')
  })

  test('neither side keeps a window, and stock peers who offer nothing see nothing', async () => {
    await using app = await start()
    using offering = await subscribeRaw(app.port)
    expect(offering.head).toMatch(
      /permessage-deflate; (server|client)_no_context_takeover; (server|client)_no_/,
    )
    using silent = await subscribeRaw(app.port, '/', [])
    expect(silent.head).not.toContain('Extensions')
    await app.publish(2, 4_000)
    await untilNumbers(2, silent, offering)
    expect(framesIn(silent.received).map(({ first }) => first)).toEqual([textFrame, textFrame])
    expect(framesIn(offering.received).map(({ first }) => first)).toEqual([
      deflatedTextFrame,
      deflatedTextFrame,
    ])
    expect(offering.received.length).toBeLessThan(silent.received.length / 10)
  })

  test('one below the threshold goes as it is, between large ones, in order', async () => {
    await using app = await start()
    using raw = await subscribeRaw(app.port)
    for (const length of [4_000, 20, 2_000, 600, 20]) await app.publish(1, length)
    await untilNumbers(5, raw)
    const kinds = framesIn(raw.received).map(({ first }) => first === deflatedTextFrame)
    expect(kinds).toEqual([true, false, true, false, false])
  })

  test('whoever agreed on the same gets the same bytes, deflated once', async () => {
    await using app = await start()
    const all = await Promise.all(Array.from({ length: 10 }, () => subscribeRaw(app.port)))
    const sluice = await Promise.all(Array.from({ length: 10 }, () => subscribeRaw(app.port, '/?sluice=1')))
    await app.publish(1) // whoever waited for the first event of all reads it by itself
    await untilNumbers(1, ...all, ...sluice)
    await eventually(() => app.sluice.stats().subscribers.live === 20)
    for (const raw of [...all, ...sluice]) raw.received = Buffer.alloc(0)
    await app.publish(32)
    await eventually(() => [...all, ...sluice].every(raw => numbersIn(raw).length === 32))
    for (const peers of [all, sluice]) {
      expect(new Set(peers.map(({ received }) => received.toString('latin1'))).size).toBe(1)
    }
    const [one] = sluice
    const size = framesIn(one?.received ?? Buffer.alloc(0)).reduce((sum, { text }) => sum + text.length, 0)
    // One batch, for all who take batches; no single event of a stock peer is above the threshold.
    const { bytesIn, bytesOut } = app.sluice.stats().compression
    expect(bytesIn).toBe(size)
    expect(bytesOut).toBe(
      framesIn(one?.received ?? Buffer.alloc(0)).reduce((sum, { payload }) => sum + payload.length, 4),
    )
    expect(bytesOut).toBeLessThan(bytesIn / 4)
    for (const raw of [...all, ...sluice]) raw[Symbol.dispose]()
  })

  test('a batch is one frame for a Sluice client, compressed or not, and as many as ever for a stock one', async () => {
    await using app = await start()
    using batched = await subscribeRaw(app.port, '/?sluice=1')
    using uncompressed = await subscribeRaw(app.port, '/?sluice=1', [])
    using stock = await subscribeRaw(app.port)
    await app.publish(32)
    await untilNumbers(32, batched, uncompressed, stock)
    const kinds = [batched, uncompressed, stock].map(raw => framesIn(raw.received).map(({ first }) => first))
    expect(kinds).toEqual([[deflatedTextFrame], [textFrame], upTo(32).map(() => textFrame)])
    expect(batched.received.length).toBeLessThan(stock.received.length / 4)
  })

  test('what would only grow goes as it is, however long, and among what shrinks', async () => {
    const t = initTRPC.create()
    const topic = createTopic({ name: 'noise', event: z.instanceof(Uint8Array) })
    const router = t.router({
      noise: t.procedure.subscription(({ signal }) => topic.subscribe('all', { signal })),
    })
    const codec = msgpackCodec()
    const sluice = { compression: true, codecs: [codec] }
    await using app = await createHarness({ router, transport: 'websocket', sluice, link: { codec } })
    const events = iterate(app.client.noise, undefined)
    await eventually(() => app.sluice.stats().subscribers.live === 1)
    const next = async (bytes: Uint8Array<ArrayBuffer>) => {
      await topic.publish('all', bytes)
      expect(Buffer.from((await events.next()).value?.data ?? []).equals(bytes)).toBe(true)
      return app.sluice.stats().compression.bytesIn
    }
    // As long as the three ways that a frame has to say its length.
    for (const length of [1_024, 4_000, 65_535, 65_536, 200_000])
      expect(await next(randomBytes(length))).toBe(0)
    const shrunk = await next(new Uint8Array(4_000))
    expect(shrunk).toBeGreaterThan(4_000)
    expect(await next(randomBytes(4_000))).toBe(shrunk)
    await events.return?.()
  })

  test('a peer that wants a smaller window gets its frames as they are', async () => {
    await using app = await start()
    using raw = await subscribeRaw(app.port, '/', [
      'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10',
    ])
    await app.publish(1, 4_000)
    await untilNumbers(1, raw)
    expect(framesIn(raw.received).map(({ first }) => first)).toEqual([textFrame])
  })

  test('a client of `ws` reads events, results and values of an own generator, and may deflate what it sends', async () => {
    await using app = await start()
    await using peer = await RawWebSocket.open(app.url)
    peer.subscribe(1, 'news', { padding: text(0, 4_000) }) // deflated by `ws`, for its length
    await peer.until('"started"')
    await app.publish(3, 2_000)
    await peer.until('"n":3')
    peer.send({ id: 2, method: 'query', params: { path: 'large' } })
    peer.subscribe(3, 'own')
    await peer.until('"stopped"')
    const parsed = peer.frames.map(frame => JSON.parse(frame) as { id: number; result: { data?: unknown } })
    const dataOf = (id: number) => parsed.filter(frame => frame.id === id).map(({ result }) => result.data)
    expect(dataOf(1).slice(1)).toMatchObject(upTo(3).map(n => ({ data: { n, text: text(n, 2_000) } })))
    expect(dataOf(2)).toEqual([text(0, 100_000)])
    expect(dataOf(3).filter(data => data !== undefined)).toEqual([text(1), text(2, 4_000)])
    expect(app.sluice.stats().refused).toBe(0)
  })
})

describe('over HTTP', () => {
  const gzipped = { headers: { 'accept-encoding': 'gzip' } }

  /** A gzipped stream of which every byte is seen. */
  async function openRaw(port: number): Promise<RawTcp> {
    const raw = await RawTcp.open(port)
    raw.write('GET /news?input=%7B%7D HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n')
    await raw.until('event: connected') // small, hence readable
    return raw
  }

  test('a stream is as ever for who does not accept gzip, and says on what that depends', async () => {
    await using app = await start()
    await using plain = await RawResponse.open(`${app.url}/own`, {
      headers: { 'accept-encoding': 'br, gzip;q=0' },
    })
    await plain.until('event: return')
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(plain.headers.vary).toBe('trpc-accept, accept, accept-encoding')
    await using without = await start({ compression: { http: false } })
    await using off = await RawResponse.open(`${without.url}/own`, gzipped)
    await off.until('event: return')
    expect(off.headers['content-encoding']).toBeUndefined()
    expect(off.text).toBe(plain.text)
  })

  test('subscribers get the same bytes but for the ends, also one who came later', async () => {
    await using app = await start()
    using early = await openRaw(app.port)
    await app.publish(32)
    await eventually(() => app.sluice.stats().eventsOut === 32)
    using late = await openRaw(app.port)
    await eventually(() => app.sluice.stats().subscribers.live === 2)
    for (const raw of [early, late]) raw.received = Buffer.alloc(0)
    const before = app.sluice.stats().compression
    await app.publish(32)
    await eventually(() => app.sluice.stats().eventsOut === 32 * 3)
    await eventually(() => late.received.length > 0 && late.received.equals(early.received))
    const { bytesIn, bytesOut } = app.sluice.stats().compression
    expect(bytesOut - before.bytesOut).toBeLessThan((bytesIn - before.bytesIn) / 4)
  })

  test("Node's http and zlib read it event by event, and find its checksum right at the end", async () => {
    await using app = await start()
    const [response] = (await once(http.get(`${app.url}/news?input={}`, gzipped), 'response')) as [
      http.IncomingMessage,
    ]
    expect(response.headers['content-encoding']).toBe('gzip')
    let seen = ''
    const gunzip = response.pipe(createGunzip()).setEncoding('utf8')
    gunzip.on('data', (piece: string) => (seen += piece))
    await eventually(() => seen.includes('event: connected'))
    for (const [index, length] of [20, 4_000, 20].entries()) {
      await app.publish(1, length)
      await eventually(() => seen.includes(text(index + 1, length)))
    }
    const ended = once(gunzip, 'end') // an error, if the checksum were wrong
    await app.sluice.close()
    await ended
  })

  test('fetch reads it event by event', async () => {
    await using app = await start()
    const { body, headers } = await fetch(`${app.url}/news?input={}`)
    expect(headers.get('content-encoding')).toBe('gzip')
    const reader = (body as ReadableStream<Uint8Array>).getReader()
    const decoder = new TextDecoder()
    let seen = ''
    const until = async (wanted: string) => {
      while (!seen.includes(wanted)) seen += decoder.decode((await reader.read()).value, { stream: true })
    }
    await until('event: connected')
    for (const [index, length] of [20, 4_000].entries()) {
      await app.publish(1, length)
      await until(text(index + 1, length))
    }
    await reader.cancel()
  })

  test('what would only grow goes as it is, within the gzip', async () => {
    await using app = await start({ compression: { thresholdBytes: 0 } })
    await using plain = await RawResponse.open(`${app.url}/apart`)
    await plain.ended
    expect(app.sluice.stats().compression.bytesIn).toBe(0)
    const response = await fetch(`${app.url}/apart`)
    expect(response.headers.get('content-encoding')).toBe('gzip')
    expect(await response.text()).toBe(plain.text)
    const { bytesIn } = app.sluice.stats().compression
    expect(bytesIn).toBeGreaterThan(4_000)
    expect(bytesIn).toBeLessThan(plain.text.length)
  })

  test('curl --compressed reads it, to the end', async () => {
    await using app = await start()
    const { stdout } = await promisify(execFile)('curl', ['-sSN', '--compressed', `${app.url}/own`])
    const plain = await RawResponse.open(`${app.url}/own`)
    await plain.ended
    expect(stdout).toBe(plain.text)
    expect(stdout).toContain(text(2, 4_000))
  })

  test('it works over HTTP/2', async () => {
    await using app = await start()
    const server = http2.createServer(app.sluice.node).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const stream = session.request({ ':path': '/own', 'accept-encoding': 'gzip' })
    const chunks = (await stream.toArray()) as Buffer[]
    expect(gunzipSync(Buffer.concat(chunks)).toString()).toContain(text(2, 4_000))
    session.close()
    await new Promise(resolve => server.close(resolve))
  })
})

describe.each(['websocket', 'sse'] as const)('the Sluice client over %s', transport => {
  test('resumes after a cut in the middle of a compressed batch, and sees every event once, in order', async () => {
    const { router, publish } = createApp()
    await using app = await createHarness({ router, transport, sluice: { compression: true } })
    const seen = app.record(client => client.news, {})
    await seen.started
    await publish(50)
    await seen.until(50)
    const cut = app.proxy.cut({ midFrame: true })
    await publish(50, 1_000)
    await cut
    await seen.until(100)
    await app.proxy.cut()
    await publish(1)
    await seen.until(101)
    expect(seen.report(101)).toEqual({ delivered: 101, missing: [], repeated: [], outOfOrder: [] })
    expect(app.sluice.stats().compression.bytesOut).toBeGreaterThan(0)
  })
})
