/** Promise 3, end to end: a consumer that takes slowly holds the server back, and neither its buffer nor ours grows. */
import { toReadableStream } from 'trpc-sluice/shared'
import { iterate } from 'trpc-sluice/client'
import { createTopic, resumable, serve, type WhenSlow } from 'trpc-sluice/server'
import { createFakeClock, createHarness, eventually } from 'trpc-sluice/testing'
import { initTRPC, tracked } from '@trpc/server'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { RawWebSocket } from '../../interop/support/raw-websocket.ts'
import { connect, range, type TestClient } from './connect.ts'
import { startServer, type TestServer } from './server.ts'

/** Counts the values that `big` has made, each of so many characters. */
function countBig(server: TestServer, characters: number) {
  const made = { count: 0 }
  const text = 'x'.repeat(characters)
  server.log.onBig = () => {
    made.count += 1
    return `${made.count} ${text}`
  }
  return made
}

/** Settles when the server makes no more of them through twenty round trips on the same link. */
async function standstill({ client }: TestClient, made: { readonly count: number }): Promise<void> {
  await eventually(async () => {
    const before = made.count
    for (let i = 0; i < 20; i++) await client.echo.query(i)
    return made.count > 0 && made.count === before
  })
}

const numberIn = (text: unknown) => Number.parseInt(String(text))

describe('over a WebSocket', () => {
  test('a generator is asked for no more than the consumer has room for, while others go on at full speed', async () => {
    await using server = await startServer('Sluice')
    using client = connect({ url: server.url, transport: 'websocket' })
    const made = countBig(server, 10)
    const events = iterate(client.client.big, undefined, { maxBuffered: 100 })
    expect(numberIn((await events.next()).value)).toBe(1)
    await standstill(client, made)
    expect(made.count).toBe(100)

    const neighbour: number[] = []
    client.client.countTo.subscribe(20_000, { onData: n => neighbour.push(n) })
    await eventually(() => neighbour.length === 20_000)
    expect(made.count).toBe(100)

    for (let n = 2; n <= 1_000; n++) {
      expect(numberIn((await events.next()).value)).toBe(n)
      expect(made.count).toBeLessThanOrEqual(n + 100)
    }
    await events.return?.()
  })

  test('so are its bytes: large events stop long before their number does', async () => {
    await using server = await startServer('Sluice')
    using client = connect({ url: server.url, transport: 'websocket' })
    const made = countBig(server, 200_000)
    const events = iterate(client.client.big, undefined, { maxBufferedBytes: 1024 * 1024 })
    await events.next()
    await standstill(client, made)
    expect(made.count).toBeLessThanOrEqual(8)
    for (let n = 2; n <= 50; n++) expect(numberIn((await events.next()).value)).toBe(n)
    await events.return?.()
  })

  test('the grants are few', async () => {
    await using server = await startServer('Sluice')
    const sent: string[] = []
    const { WebSocket } = await import('ws')
    class Listening extends WebSocket {
      override send(data: string) {
        sent.push(data)
        super.send(data)
      }
    }
    using client = connect({ url: server.url, transport: 'websocket', WebSocket: Listening })
    let last = 0
    for await (const n of iterate(client.client.countTo, 10_000)) last = n
    expect(last).toBe(10_000)
    const grants = sent.filter(message => message.includes('subscription.credit'))
    expect(grants.length).toBeGreaterThan(10)
    expect(grants.length).toBeLessThanOrEqual(20)
  })

  test("tRPC's own server is stopped, and asked to go on when all is taken: nothing is lost", async () => {
    await using server = await startServer('stock tRPC')
    using client = connect({ url: server.url, transport: 'websocket' })
    server.log.publish(...range(1, 500))
    const got: number[] = []
    for await (const { data } of iterate(client.client.onLog, {}, { maxBuffered: 20 })) {
      got.push(data.n)
      if (got.length % 10 === 0) await client.client.echo.query(0) // let more come than can be taken
      if (got.length === 500) break
    }
    expect(got).toEqual(range(1, 500))
    expect(server.log.starts.length).toBeGreaterThan(5)
  })

  test("where tRPC's own server cannot go on from an event, the consumer is told, with what it has not lost", async () => {
    await using server = await startServer('stock tRPC')
    using client = connect({ url: server.url, transport: 'websocket' })
    const events = iterate(client.client.countTo, 100, { maxBuffered: 10 })
    expect(await events.next()).toEqual({ done: false, value: 1 })
    const got = [1]
    await expect(async () => {
      for await (const n of events) {
        got.push(n)
        await client.client.echo.query(n) // let more come than can be taken
      }
    }).rejects.toMatchObject({ code: 'CONSUMER_TOO_SLOW', data: { maxBuffered: 10 } })
    expect(got).toEqual(range(1, got.length))
  })

  test('a stock client that happens to send such members is not listened to', async () => {
    await using server = await startServer('Sluice')
    await using socket = await RawWebSocket.open(server.url)
    socket.subscribe(1, 'countTo', { json: 3 }, { credit: { events: 'many' } })
    await socket.until('"stopped"')
    expect(socket.frames[0]).toBe('{"id":1,"result":{"type":"started"}}')
  })

  test('a credit that is none, or beyond all bounds, is refused', async () => {
    await using server = await startServer('Sluice')
    await using socket = await RawWebSocket.open(`${server.url}/?sluice=1`)
    for (const credit of [{ events: 0, bytes: 1 << 20 }, { events: 1e9, bytes: 1 << 20 }, 'much']) {
      socket.subscribe(1, 'countTo', { json: 3 }, { credit })
    }
    socket.send({ id: 1, method: 'subscription.credit', params: { events: -5 } })
    for (const frame of await socket.count(4)) expect(frame).toContain('"BAD_REQUEST"')
    expect(socket.frames).toHaveLength(4)
  })
})

test.each(['websocket', 'sse'] as const)(
  'a ReadableStream that is read slowly holds the server back over %s',
  async transport => {
    await using server = await startServer('Sluice')
    using client = connect({ url: server.url, transport })
    const made = countBig(server, 500_000)
    const bounds = { maxBuffered: 2, maxBufferedBytes: 1024 * 1024 }
    const reader = toReadableStream(iterate(client.client.big, undefined, bounds)).getReader()
    expect(numberIn((await reader.read()).value)).toBe(1)
    await standstill(client, made)
    // What sockets' buffers hold is made as well, where it is they that say stop.
    expect(made.count).toBeLessThan(transport === 'websocket' ? 4 : 60)
    for (let n = 2; n <= 100; n++) expect(numberIn((await reader.read()).value)).toBe(n)
    await reader.cancel()
  },
)

const t = initTRPC.create()
const Event = z.object({ n: z.number() })

function createApp(whenSlow: WhenSlow<z.infer<typeof Event>>) {
  const topic = createTopic({ name: 'flow', event: Event })
  const subscribe = (after: string | undefined, signal: AbortSignal | undefined) =>
    topic.subscribe('all', { after, from: 'start', signal, whenSlow })
  const router = t.router({
    onEvent: t.procedure
      .input(resumable({}))
      .subscription(({ input, signal }) => subscribe(input.lastEventId, signal)),
    onWrapped: t.procedure.input(resumable({})).subscription(async function* ({ input, signal }) {
      for await (const [id, data] of subscribe(input.lastEventId, signal)) yield tracked(id, data)
    }),
  })
  const publish = (...numbers: number[]) => Promise.all(numbers.map(n => topic.publish('all', { n })))
  return { router, publish }
}

test('a cut while the credit is spent loses nothing and repeats nothing', async () => {
  const { router, publish } = createApp('wait')
  await using app = await createHarness({ router, transport: 'websocket' })
  await publish(...range(1, 300))
  const events = iterate(app.client.onEvent, {}, { maxBuffered: 10 })
  const got: number[] = []
  for (let cuts = 0; got.length < 300;) {
    const { value } = await events.next()
    if (!value || !('n' in value.data)) break
    got.push(value.data.n)
    if (got.length % 60 === 5 && cuts++ < 4) await app.proxy.cut()
  }
  expect(got).toEqual(range(1, 300))
  await events.return?.()
})

type Message = { readonly result: { readonly data: { readonly data: { n?: number; dropped?: number } } } }

/** What came after `started`. */
function eventsOf({ frames }: RawWebSocket) {
  // A batch is an array.
  const messages = frames.slice(1).flatMap(frame => JSON.parse(frame) as Message | Message[])
  return messages.map(({ result }) => result.data.data.n ?? `gap of ${result.data.data.dropped}`)
}

test("a topic's subscriber whose credit is spent is a cursor, and its policy for slow readers applies", async () => {
  for (const [whenSlow, expected] of [
    [{ policy: 'drop-oldest', maxLag: 5 }, [...range(1, 4), 'gap of 11', ...range(16, 20)]],
    [{ policy: 'conflate', by: ({ n }: { n: number }) => String(n % 3) }, [...range(1, 4), 18, 19, 20]],
    ['wait', range(1, 20)],
  ] as const) {
    const { router, publish } = createApp(whenSlow)
    await using server = await serve({ router, port: 0, host: '127.0.0.1' })
    await using socket = await RawWebSocket.open(`${server.url}/?sluice=1`)
    socket.subscribe(1, 'onEvent', {}, { credit: { events: 4, bytes: 1024 * 1024 } })
    await socket.until('"started"')
    expect(socket.frames[0]).toContain('"credit":true')
    // One by one: a reader that is live is given a batch as it is.
    for (const n of range(1, 20)) {
      await publish(n)
      if (n <= 4) await socket.until(`"n":${n}}`)
    }
    await eventually(() => server.sluice.stats().subscribers.lag.max === 16)
    expect(server.sluice.stats().subscribers).toMatchObject({ live: 0, behind: 1 })
    await socket.settled()
    expect(socket.frames).toHaveLength(5)
    for (let granted = 4; granted <= 20; granted += 4) {
      socket.send({ id: 1, method: 'subscription.credit', params: { events: 4 } })
      await socket.settled()
    }
    await socket.until('"n":20}')
    expect(eventsOf(socket)).toEqual(expected)
  }
})

test('so it does where the application passes the events on from a generator of its own', async () => {
  for (const [whenSlow, expected] of [
    [{ policy: 'drop-oldest', maxLag: 5 }, [...range(1, 4), 'gap of 11', ...range(16, 20)]],
    [{ policy: 'conflate', by: ({ n }: { n: number }) => String(n % 3) }, [...range(1, 4), 18, 19, 20]],
    ['wait', range(1, 20)],
  ] as const) {
    const { router, publish } = createApp(whenSlow)
    await using server = await serve({ router, port: 0, host: '127.0.0.1' })
    await using socket = await RawWebSocket.open(`${server.url}/?sluice=1`)
    socket.subscribe(1, 'onWrapped', {}, { credit: { events: 4, bytes: 1024 * 1024 } })
    await socket.until('"started"')
    for (const n of range(1, 4)) {
      await publish(n)
      await socket.until(`"n":${n}}`)
    }
    for (const n of range(5, 20)) await publish(n)
    await socket.settled()
    expect(eventsOf(socket)).toEqual(range(1, 4))
    for (let granted = 4; granted <= 20; granted += 4) {
      socket.send({ id: 1, method: 'subscription.credit', params: { events: 4 } })
      await socket.settled()
    }
    await socket.until('"n":20}')
    expect(eventsOf(socket)).toEqual(expected)
  }
})

test.each(['onEvent', 'onWrapped'])(
  'a reader that takes nothing for its time is cut off from %s, and goes on later from where it was',
  async path => {
    const clock = createFakeClock()
    const { router, publish } = createApp({ policy: 'disconnect', afterMs: 1_000 })
    await using server = await serve({ router, clock, port: 0, host: '127.0.0.1' })
    const { sluice } = server
    await using socket = await RawWebSocket.open(`${server.url}/?sluice=1`)
    socket.subscribe(1, path, {}, { credit: { events: 2, bytes: 1024 * 1024 } })
    await publish(1, 2, 3)
    await socket.until('"n":2}')
    await socket.settled()
    await clock.advance(999)
    expect(sluice.stats().subscriptions).toBe(1)
    // One that takes something in time has its time anew.
    socket.send({ id: 1, method: 'subscription.credit', params: { events: 1 } })
    await socket.until('"n":3}')
    await clock.advance(999)
    expect(sluice.stats().subscriptions).toBe(1)
    await clock.advance(1)
    await socket.until('"STALLED"')
    await eventually(() => sluice.stats().subscriptions === 0)
  },
)

test('one that has left while its connection takes nothing is not cut off, and no error is told of it', async () => {
  const clock = createFakeClock()
  const topic = createTopic({ name: 'large', event: z.string() })
  const router = t.router({
    onWrapped: t.procedure.subscription(async function* ({ signal }) {
      const whenSlow = { policy: 'disconnect', afterMs: 1_000 } as const
      for await (const [id, data] of topic.subscribe('all', { from: 'start', signal, whenSlow }))
        yield tracked(id, data)
    }),
  })
  const errors: unknown[] = []
  const onError = ({ error }: { readonly error: unknown }) => void errors.push(error)
  await using server = await serve({ router, clock, onError, port: 0, host: '127.0.0.1' })
  const { sluice } = server
  for (let n = 0; n < 32; n++) await topic.publish('all', 'x'.repeat(1_000_000))
  await using socket = await RawWebSocket.open(server.url)
  socket.pause()
  socket.subscribe(1, 'onWrapped')
  await eventually(() => sluice.stats().stalls > 0)
  socket.send({ id: 1, method: 'subscription.stop' })
  await eventually(() => sluice.stats().subscriptions === 0)
  await clock.advance(1_000)
  expect(errors).toEqual([])
})
