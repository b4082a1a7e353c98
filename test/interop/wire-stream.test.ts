/** The stream carrier as it is to be seen on the wire (docs/wire.md, section 6), through both kinds of host. */
import { initTRPC, TRPCError, tracked } from '@trpc/server'
import { createSluice, createTopic, resumable, serve, type ServeOptions } from 'trpc-sluice/server'
import { eventually } from 'trpc-sluice/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { RawTcp } from './support/raw-tcp.ts'
import { messagesIn, postStream, subscriptionOf } from './support/raw-stream.ts'

interface Context {
  readonly user?: string | undefined
}

function createApp() {
  const t = initTRPC.context<Context>().create({ isDev: false })
  const topic = createTopic({ name: 'n', event: z.object({ n: z.number() }) })
  const router = t.router({
    onNumber: t.procedure
      .input(resumable())
      .subscription(({ input, signal }) => topic.subscribe('k', { after: input.lastEventId, signal })),
    count: t.procedure.input(z.number()).subscription(async function* ({ input }) {
      for (let i = 0; i < input; i++) yield i
    }),
    forged: t.procedure.subscription(async function* () {
      yield tracked('a\nid: b', 'x')
    }),
    who: t.procedure.subscription(async function* ({ ctx }) {
      yield ctx.user ?? 'nobody'
    }),
    quiet: t.procedure.subscription(async function* ({ signal }) {
      yield 'here'
      await new Promise<void>(resolve => signal?.addEventListener('abort', () => resolve(), { once: true }))
    }),
  })
  return { router, topic }
}

type App = ReturnType<typeof createApp>

async function start(app: App, more: Partial<ServeOptions<App['router']>> = {}) {
  const served = await serve({ router: app.router, port: 0, host: '127.0.0.1', ...more })
  return { ...served, [Symbol.asyncDispose]: () => served.close() }
}

test('one response carries the messages of all its subscriptions, and ends with the last of them', async () => {
  await using server = await start(createApp())
  const response = await postStream(server.url, {
    subscriptions: [subscriptionOf(1, 'count', 2), subscriptionOf(2, 'nothing'), subscriptionOf(3, 'forged')],
  })
  expect(await response.ended).toBe('complete')
  expect(response.status).toBe(200)
  expect(response.headers).toMatchObject({
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
  })
  const [first, ...messages] = messagesIn(response.text)
  expect(first).toBe('connected')
  const of = (id: number) => messages.filter(message => (message as { id: number }).id === id)
  expect(of(1)).toEqual([
    { id: 1, result: { type: 'started' } },
    { id: 1, result: { type: 'data', data: 0 } },
    { id: 1, result: { type: 'data', data: 1 } },
    { id: 1, result: { type: 'stopped' } },
  ])
  expect(of(2)).toMatchObject([{ id: 2, error: { data: { code: 'NOT_FOUND' } } }])
  // Within JSON an id can forge nothing.
  expect(of(3)[1]).toEqual({
    id: 3,
    result: { type: 'data', id: 'a\nid: b', data: { id: 'a\nid: b', data: 'x' } },
  })
  expect(messages).toHaveLength(4 + 1 + 3)
})

test('an event for many is encoded once, whichever responses carry it', async () => {
  const app = createApp()
  await using server = await start(app)
  const responses = await Promise.all(
    [1, 2, 3].map(() => postStream(server.url, { subscriptions: [subscriptionOf(7, 'onNumber', {})] })),
  )
  await Promise.all(responses.map(response => response.until('started')))
  await app.topic.publish('k', { n: 1 })
  await Promise.all(responses.map(response => response.until('"n":1')))
  expect(server.sluice.stats()).toMatchObject({
    connections: { stream: 3, sse: 0, websocket: 0 },
    encodings: { misses: 1, hits: 2 },
  })
})

test('createContext is called once per request, with the connection params of the body', async () => {
  let calls = 0
  const createContext: ServeOptions<App['router']>['createContext'] = ({ info }) => {
    calls += 1
    expect(info.calls.map(({ path }) => path)).toEqual(['who', 'who'])
    return { user: info.connectionParams?.['user'] }
  }
  await using server = await start(createApp(), { createContext })
  const response = await postStream(server.url, {
    subscriptions: [subscriptionOf(1, 'who'), subscriptionOf(2, 'who')],
    connectionParams: { user: 'Ada' },
  })
  await response.ended
  expect(response.text.match(/"data":"Ada"/g)).toHaveLength(2)
  expect(calls).toBe(1)
})

test('a context that cannot be made is the answer to each subscription', async () => {
  const createContext = () => {
    throw new TRPCError({ code: 'UNAUTHORIZED', message: 'who are you?' })
  }
  await using server = await start(createApp(), { createContext })
  const response = await postStream(server.url, { subscriptions: [subscriptionOf(1, 'who')] })
  await response.ended
  expect(messagesIn(response.text)).toMatchObject([
    'connected',
    { id: 1, error: { data: { code: 'UNAUTHORIZED' } } },
  ])
})

test('a drain says "reconnect" and ends the response; who comes then is turned away', async () => {
  await using server = await start(createApp())
  const response = await postStream(server.url, { subscriptions: [subscriptionOf(1, 'quiet')] })
  await response.until('here')
  const drained = server.sluice.drain({ withinMs: 1_000 })
  expect(await response.ended).toBe('complete')
  expect(messagesIn(response.text).at(-1)).toEqual({ id: null, method: 'reconnect' })
  const late = await postStream(server.url, { subscriptions: [subscriptionOf(1, 'quiet')] })
  await late.ended
  expect(late.status).toBe(503)
  expect(late.text).toContain('DRAINING')
  await drained
})

test('a client that goes in the middle of its request leaves nothing behind, and keeps nobody from closing', async () => {
  const server = await start(createApp())
  const post = async () => {
    const client = await RawTcp.open(server.port)
    client.write('POST /:stream?sluice=1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n')
    client.write('Content-Length: 100\r\n\r\n{"subscriptions":[')
    return client
  }
  const open = () => server.sluice.stats().connections.stream
  const client = await post()
  await eventually(() => open() === 1)
  client.cut()
  await eventually(() => open() === 0)

  using slow = await post()
  await eventually(() => open() === 1)
  await server.close()
  await slow.closed
  expect(open()).toBe(0)
})

describe('with holdMs, a response ends', () => {
  test('with the first news', async () => {
    const app = createApp()
    await using server = await start(app)
    const first = await postStream(server.url, {
      subscriptions: [subscriptionOf(1, 'onNumber', {})],
      holdMs: 60_000,
    })
    expect(await first.ended).toBe('complete')
    const [, started] = messagesIn(first.text) as { result: { position: string } }[]
    const { position } = started?.result ?? { position: '' }
    await app.topic.publish('k', { n: 1 })
    const second = await postStream(server.url, {
      subscriptions: [subscriptionOf(1, 'onNumber', {}, position)],
      holdMs: 60_000,
    })
    expect(await second.ended).toBe('complete')
    expect(messagesIn(second.text).at(-1)).toMatchObject({
      result: { type: 'data', data: { data: { n: 1 } } },
    })
  })

  test('or when the time is over; what has no cursor is no news, for it would not go on', async () => {
    await using server = await start(createApp())
    const response = await postStream(server.url, { subscriptions: [subscriptionOf(1, 'quiet')], holdMs: 80 })
    expect(await response.ended).toBe('complete')
    expect(messagesIn(response.text)).toEqual([
      'connected',
      { id: 1, result: { type: 'started' } },
      { id: 1, result: { type: 'data', data: 'here' } },
    ])
    await eventually(() => server.sluice.stats().subscriptions === 0)
  })
})

test('silence is broken by pings, whose interval is told', async () => {
  const t = initTRPC.create({ isDev: false, sse: { ping: { enabled: true, intervalMs: 20 } } })
  const router = t.router({ quiet: createApp().router.quiet })
  await using server = await serve({ router, port: 0, host: '127.0.0.1' }).then(served => ({
    ...served,
    [Symbol.asyncDispose]: () => served.close(),
  }))
  const response = await postStream(server.url, { subscriptions: [subscriptionOf(1, 'quiet')] })
  await response.until('event: ping')
  expect(response.text).toContain('event: connected\ndata: {"pingMs":20}')
})

test.each([
  ['not JSON', '{', 400],
  ['no list', { subscriptions: 1 }, 400],
  ['params that are none', { subscriptions: [], connectionParams: 5 }, 400],
  ['a list that is too long', { subscriptions: Array(1_001).fill(subscriptionOf(1, 'quiet')) }, 400],
  ['a body that is too large', { subscriptions: ['x'.repeat(1024 * 1024)] }, 413],
])('%s is refused, and nothing is started', async (_, body, status) => {
  await using server = await start(createApp())
  const response = await postStream(server.url, body)
  await response.ended
  expect(response.status).toBe(status)
  expect(server.sluice.stats()).toMatchObject({ subscriptions: 0 })
})

test('one message that is wrong costs itself only', async () => {
  await using server = await start(createApp())
  const response = await postStream(server.url, {
    subscriptions: [
      null,
      { id: 1, method: 'mutation', params: { path: 'who' } },
      subscriptionOf(2, 'count', nested(100)),
      subscriptionOf(3, 'count', 1),
      subscriptionOf(3, 'count', 1),
    ],
  })
  await response.ended
  expect(messagesIn(response.text)).toMatchObject([
    'connected',
    { id: null, error: { data: { code: 'PARSE_ERROR' } } },
    { id: 1, error: { data: { code: 'BAD_REQUEST' } } },
    { id: 2, error: { data: { sluice: { code: 'INPUT_TOO_DEEP' } } } },
    { id: 3, error: { message: 'Duplicate id 3' } },
    { id: 3, result: { type: 'started' } },
    { id: 3, result: { type: 'data', data: 0 } },
    { id: 3, result: { type: 'stopped' } },
  ])
  expect(server.sluice.stats().refusals).toEqual({ INPUT_TOO_DEEP: 1, MESSAGE_INVALID: 1 })
})

test('a refusal that the application puts into words which JSON does not have is answered all the same', async () => {
  const t = initTRPC.create({ errorFormatter: ({ shape }) => ({ ...shape, at: 1n }) })
  const reports: string[] = []
  await using served = await serve({
    router: t.router({}),
    port: 0,
    host: '127.0.0.1',
    onError: ({ error }) => reports.push(error.message),
  })
  const response = await postStream(served.url, { subscriptions: 'none' })
  expect(await response.ended).toBe('complete')
  expect(response.status).toBe(500)
  expect(JSON.parse(response.text)).toMatchObject({ error: { message: 'Internal server error' } })
  expect(reports).toEqual(['Do not know how to serialize a BigInt'])
})

test('a connection has so many subscriptions, and a server so many connections', async () => {
  await using server = await start(createApp(), { limits: { maxSubscriptions: 1, maxConnections: 1 } })
  const response = await postStream(server.url, {
    subscriptions: [subscriptionOf(1, 'quiet'), subscriptionOf(2, 'quiet')],
  })
  await response.until('here')
  expect(response.text).toContain('TOO_MANY_SUBSCRIPTIONS')
  const other = await postStream(server.url, { subscriptions: [subscriptionOf(1, 'quiet')] })
  expect(other.status).toBe(503)
  expect(other.headers['retry-after']).toBe('5')
})

test("a peer that has not asked for extensions meets a path that is nobody's", async () => {
  await using server = await start(createApp())
  const response = await postStream(server.url, { subscriptions: [] }, '')
  await response.ended
  expect(response.status).toBe(404)
})

test('a WHATWG Request is answered alike', async () => {
  const sluice = createSluice({ router: createApp().router, createContext: () => ({}), basePath: '/api' })
  const post = (body: unknown) =>
    sluice.fetch(
      new Request('http://test/api/:stream?sluice=1', { method: 'POST', body: JSON.stringify(body) }),
    )
  const response = await post({ subscriptions: [subscriptionOf(1, 'count', 1)] })
  expect(messagesIn(await response.text())).toEqual([
    'connected',
    { id: 1, result: { type: 'started' } },
    { id: 1, result: { type: 'data', data: 0 } },
    { id: 1, result: { type: 'stopped' } },
  ])
  await sluice.close()
})

/** Objects within objects. */
function nested(depth: number): unknown {
  return depth === 0 ? 1 : { in: nested(depth - 1) }
}
