/**
 * Promise 8 by the writes themselves: what becomes ready in one turn of the event loop goes out in one write for each
 * connection, whichever carrier it is, and what becomes ready alone goes out before the turn is over.
 */
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import http2 from 'node:http2'
import { setTimeout as later } from 'node:timers/promises'
import { initTRPC } from '@trpc/server'
import { createTopic, serve } from 'trpc-sluice/server'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Scope } from '../../shared/scope.ts'
import { subscriptionOf } from '../interop/support/raw-stream.ts'
import { frame, RawTcp } from '../interop/support/raw-tcp.ts'
import { eventually } from '../kit/deadline.ts'
import { countWrites } from './support/captured.ts'
import { countHttp2Writes } from './support/counted-http2.ts'

const t = initTRPC.create()
const Event = z.object({ n: z.number(), text: z.string().optional() })

/** Several subscriptions, as they are asked for in one request or on one connection. */
type Open = (app: App, ...paths: string[]) => Promise<Peer>
type App = Awaited<ReturnType<typeof start>>

interface Peer {
  until(text: string): Promise<void>
}

async function start() {
  const scope = new Scope()
  const topics = {
    one: createTopic({ name: 'one', event: Event }),
    other: createTopic({ name: 'other', event: Event }),
    third: createTopic({ name: 'third', event: Event }),
  }
  const waiting: ((tokens: number) => void)[] = []
  const router = t.router({
    one: t.procedure.subscription(({ signal }) => topics.one.subscribe('k', { signal })),
    other: t.procedure.subscription(({ signal }) => topics.other.subscribe('k', { signal })),
    third: t.procedure.subscription(({ signal }) => topics.third.subscribe('k', { signal })),
    ready: t.procedure.subscription(async function* ({ signal }) {
      yield* Array.from({ length: 10 }, (_, n) => ({ n }))
      await once(signal ?? new AbortController().signal, 'abort')
    }),
    /** So many tokens as are told to be there, when they are. */
    tokens: t.procedure.subscription(async function* ({ signal }) {
      signal?.addEventListener('abort', () => waiting.splice(0).forEach(tell => tell(0)))
      for (let n = 0; !signal?.aborted;) {
        const count = await new Promise<number>(tell => waiting.push(tell))
        for (let i = 0; i < count; i++) yield { n: n++ }
      }
    }),
  })
  const served = await serve({ router, port: 0, host: '127.0.0.1' })
  scope.defer(() => served.close())
  const { sluice, server, port } = served
  const http1 = countWrites(server)
  const http2 = countHttp2Writes(sluice)
  http2.server.listen(0, '127.0.0.1')
  await once(http2.server, 'listening')
  scope.defer(() => http2.close())
  /** Of each body of `sluice.fetch`, the chunks. */
  const chunks: number[] = []
  return {
    sluice,
    topics,
    port,
    port2: (http2.server.address() as AddressInfo).port,
    chunks,
    live: (count: number) => eventually(() => sluice.stats().subscribers.live === count),
    waiting: (count: number) => eventually(() => waiting.length === count),
    /** Has so many tokens ready at once. */
    release: (tokens: number) => waiting.splice(0).forEach(tell => tell(tokens)),
    /** Of each connection, or body, that was opened. */
    writes: () => [...http1.counts.values(), ...http2.counts, ...chunks],
    resetWrites() {
      http1.reset()
      http2.counts.fill(0)
      chunks.fill(0)
    },
    use: <T extends Disposable>(peer: T) => scope.use(peer),
    defer: (close: () => void) => scope.defer(close),
    [Symbol.asyncDispose]: () => scope.close(),
  }
}

/** What is said of each subscription on a connection of many. */
const toMessages = (paths: readonly string[]) => paths.map((path, i) => subscriptionOf(i + 1, path))

const openWebSocket: Open = async (app, ...paths) => {
  const tcp = app.use(await RawTcp.upgrade(app.port))
  app.resetWrites() // of the answer to the upgrade
  for (const message of toMessages(paths)) tcp.write(frame(0x81, JSON.stringify(message)))
  await tcp.until('"started"')
  return tcp
}

const openSse: Open = async (app, path) => {
  const tcp = app.use(await RawTcp.open(app.port))
  tcp.write(`GET /${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
  await tcp.until('event: connected')
  return tcp
}

const openStream: Open = async (app, ...paths) => {
  const tcp = app.use(await RawTcp.open(app.port))
  const body = JSON.stringify({ subscriptions: toMessages(paths) })
  const head = `POST /:stream?sluice=1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json`
  tcp.write(`${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  await tcp.until('"started"')
  return tcp
}

/** A stream for each, on one connection. */
const openHttp2: Open = async (app, ...paths) => {
  const session = http2.connect(`http://127.0.0.1:${app.port2}`)
  app.defer(() => session.destroy())
  await once(session, 'connect')
  let received = ''
  for (const path of paths) {
    const stream = session.request({ ':path': `/${path}` })
    stream.setEncoding('utf8').on('data', (text: string) => (received += text))
    await once(stream, 'data')
  }
  return { until: text => eventually(() => received.includes(text)).then(() => {}) }
}

const openFetch =
  (begun: string, toRequest: (paths: readonly string[]) => Request): Open =>
  async (app, ...paths) => {
    const { body } = await app.sluice.fetch(toRequest(paths))
    const index = app.chunks.push(0) - 1
    let received = ''
    const read = async () => {
      for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
        received += Buffer.from(chunk).toString()
        app.chunks[index] = (app.chunks[index] ?? 0) + 1
      }
    }
    void read() // ends with the server
    const until = (text: string) => eventually(() => received.includes(text)).then(() => {})
    await until(begun)
    return { until }
  }

const fetchSse = openFetch('event: connected', ([path]) => new Request(`http://a/${path}`))
const fetchStream = openFetch(
  '"started"',
  paths =>
    new Request('http://a/:stream?sluice=1', {
      method: 'POST',
      body: JSON.stringify({ subscriptions: toMessages(paths) }),
    }),
)

const carriers: readonly (readonly [string, Open])[] = [
  ['WebSocket', openWebSocket],
  ['SSE', openSse],
  ['stream', openStream],
  ['HTTP/2', openHttp2],
  ['SSE by fetch', fetchSse],
  ['stream by fetch', fetchStream],
]
const shared = carriers.filter(([name]) => !name.startsWith('SSE'))
const ones = (count: number) => Array.from({ length: count }, () => 1)

/** When all that is ready has been dealt with, and then what waits for the end of the turn. */
const endOfTurn = () =>
  new Promise<void>(resolve => queueMicrotask(() => process.nextTick(() => setImmediate(resolve))))

describe.each(carriers)('over %s, a turn', (_, open) => {
  test('of 32 events is one write to each subscriber, and so is a lone event', async () => {
    await using app = await start()
    const peers = await Promise.all(ones(20).map(() => open(app, 'one')))
    await app.live(20)
    for (const count of [32, 1]) {
      app.resetWrites()
      const mark = `the last of ${count}`
      await Promise.all(
        ones(count).map((_, i) =>
          app.topics.one.publish('k', { n: i, ...(i === count - 1 && { text: mark }) }),
        ),
      )
      await Promise.all(peers.map(peer => peer.until(mark)))
      expect(app.writes()).toEqual(ones(20))
    }
  })

  test('of what a generator has ready is one write, and so is a lone token', async () => {
    await using app = await start()
    const peers = await Promise.all(ones(5).map(() => open(app, 'tokens')))
    let last = -1
    for (const count of [32, 1, 10]) {
      await app.waiting(5)
      app.resetWrites()
      app.release(count)
      last += count
      await Promise.all(peers.map(peer => peer.until(`"n":${last}}`)))
      expect(app.writes()).toEqual(ones(5))
    }
  })

  test('sees a lone token go out that has become ready in it', async () => {
    await using app = await start()
    const peer = await open(app, 'tokens')
    for (let n = 0; n < 10; n++) {
      await app.waiting(1)
      app.resetWrites()
      await later(0)
      app.release(1)
      await endOfTurn()
      expect(app.writes()).toEqual([1])
      await peer.until(`"n":${n}}`)
    }
  })
})

describe.each(shared)('over %s, a turn', (_, open) => {
  test('of several subscriptions is one write to the connection they share', async () => {
    await using app = await start()
    const { one, other, third } = app.topics
    const peer = await open(app, 'one', 'other', 'third', 'one')
    await app.live(4)
    app.resetWrites()
    await Promise.all([one, other, third].map((topic, n) => topic.publish('k', { n })))
    await Promise.all([0, 1, 2].map(n => peer.until(`"n":${n}`)))
    expect(app.writes()).toEqual([1])
  })
})

test.each(carriers.filter(([name]) => name !== 'HTTP/2'))(
  'the start over %s is one write with what is ready by then',
  async (_, open) => {
    await using app = await start()
    const peer = await open(app, 'ready')
    await peer.until('"n":9')
    expect(app.writes()).toEqual([1])
  },
)
