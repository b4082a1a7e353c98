/**
 * What `compression` saves of events as they are in practice, with numbers, dates and words that differ: 32 of them in
 * one tick take at most a quarter of their bytes, over either kind of connection, and `stats()` says how much.
 */
import { initTRPC } from '@trpc/server'
import superjson from 'superjson'
import { createTopic, serve } from 'trpc-sluice/server'
import { createFakeClock } from 'trpc-sluice/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createEvent } from '../bench/lib/event.ts'
import { eventually } from '../kit/deadline.ts'
import { subscriptionOf } from './support/raw-stream.ts'
import { frame, RawTcp } from './support/raw-tcp.ts'

const perTick = 32
const { random } = createFakeClock({ seed: 32 })
const between = (least: number, most: number) => least + Math.floor(random() * (most - least))
const startedAt = Date.UTC(2025, 2, 14, 9, 26, 53)

function createPrice(n: number): object {
  const [bid, spread] = [between(1_000, 90_000), between(1, 40)]
  return {
    symbol: `${String.fromCharCode(65 + between(0, 26), 65 + between(0, 26), 65 + between(0, 26))}.L`,
    at: new Date(startedAt + n * 37 + between(0, 30)),
    bid: bid / 100,
    ask: (bid + spread) / 100,
    volume: between(1, 50_000),
    sequence: 81_000 + n,
  }
}

const authors = ['Ada Lovelace', 'Grace Hopper', 'Alan Turing', 'Barbara Liskov', 'Edsger Dijkstra']
/** What people write, in no order. */
const words =
  `the train leaves Paddington at ten past nine so we could meet by the clock and have breakfast before
everybody else arrives please remember to bring those printed tickets because my phone never works underground
someone has already booked a table for seven near the river which should leave enough time to walk across afterwards
yesterday the printer on the second floor ran out of paper again can anybody look whether more was ordered thanks
I'm afraid the numbers in last month's report don't match what accounting sent us would you mind checking column
four and writing back until Thursday evening otherwise it'll have to wait for the next meeting`.split(/\s+/)

function createMessage(n: number): object {
  const text = Array.from({ length: between(6, 16) }, () => words[between(0, words.length)]).join(' ')
  return {
    number: n,
    author: authors[between(0, authors.length)],
    at: new Date(startedAt + n * 4_100 + between(0, 4_000)),
    text,
    edited: random() < 0.1,
  }
}

const kinds = [
  ['prices', createPrice],
  ['chat messages', createMessage],
  ["the benchmark's events", (n: number): object => createEvent(n)],
] as const

/** An input, as superjson has it. */
const nothing = { json: null }

async function start() {
  const t = initTRPC.create({ transformer: superjson })
  const topic = createTopic({ name: 'events', event: z.record(z.string(), z.unknown()) })
  const router = t.router({
    events: t.procedure.subscription(({ signal }) => topic.subscribe('all', { signal })),
  })
  const served = await serve({ router, port: 0, host: '127.0.0.1', compression: true })
  return Object.assign(served, { topic })
}

/** Subscribes one who takes compressed bytes, or one who does not. */
type Open = (port: number, compressed: boolean) => Promise<RawTcp>

const openWebSocket: Open = async (port, compressed) => {
  const offer = compressed ? ['Sec-WebSocket-Extensions: permessage-deflate'] : []
  const raw = await RawTcp.upgrade(port, '/?sluice=1', ...offer)
  raw.write(frame(0x81, JSON.stringify(subscriptionOf(1, 'events', nothing))))
  await raw.until('"started"')
  return raw
}

const accepting = (compressed: boolean) => `Host: a${compressed ? '\r\nAccept-Encoding: gzip' : ''}`

const openSse: Open = async (port, compressed) => {
  const raw = await RawTcp.open(port)
  raw.write(`GET /events HTTP/1.1\r\n${accepting(compressed)}\r\n\r\n`)
  await raw.until('event: connected')
  return raw
}

const openStream: Open = async (port, compressed) => {
  const raw = await RawTcp.open(port)
  const body = JSON.stringify({ subscriptions: [subscriptionOf(1, 'events', nothing)] })
  const head = `POST /:stream?sluice=1 HTTP/1.1\r\n${accepting(compressed)}`
  raw.write(`${head}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  await raw.until('"started"')
  return raw
}

describe.each([
  ['permessage-deflate', openWebSocket],
  ['gzip over SSE', openSse],
  ['gzip of a stream', openStream],
] as const)('with %s', (_, open) => {
  test.each(kinds)('32 %s in one tick take at most a quarter of their bytes', async (_kind, create) => {
    await using app = await start()
    using plain = await open(app.port, false)
    using compressed = await open(app.port, true)
    await eventually(() => app.sluice.stats().subscribers.live === 2)
    for (let n = 0; n < 10 * perTick; n += perTick) {
      for (const raw of [plain, compressed]) raw.received = Buffer.alloc(0)
      const before = app.sluice.stats().compression
      const events = Array.from({ length: perTick }, (__, i) => create(n + i))
      const published = await Promise.all(events.map(event => app.topic.publish('all', { ...event })))
      await plain.until(published.at(-1)?.id ?? '')
      const after = app.sluice.stats().compression
      const [bytesIn, bytesOut] = [after.bytesIn - before.bytesIn, after.bytesOut - before.bytesOut]
      await eventually(() => compressed.received.length >= bytesOut)
      expect(compressed.received.length / plain.received.length).toBeLessThanOrEqual(0.25)
      // All that is not counted is what the carrier puts around it: the head of a frame, or a chunk.
      for (const around of [plain.received.length - bytesIn, compressed.received.length - bytesOut]) {
        expect(around).toBeGreaterThanOrEqual(0)
        expect(around).toBeLessThan(10)
      }
    }
  })
})
