/** Monitoring: what OpenTelemetry collects of a server is what happened on it. */
import { initTRPC } from '@trpc/server'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import { observeWithOpenTelemetry } from 'trpc-sluice/otel'
import { createTopic, resumable, serve, type WhenSlow } from 'trpc-sluice/server'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { Scope } from '../../shared/scope.ts'
import { RawResponse } from '../interop/support/raw-http.ts'
import { RawWebSocket } from '../interop/support/raw-websocket.ts'
import { eventually } from '../kit/deadline.ts'

/** Collects when it is told to, and only then. */
class ManualReader extends MetricReader {
  protected override onForceFlush = () => Promise.resolve()
  protected override onShutdown = () => Promise.resolve()
}

/** Values by the metric's name, with the values of its attributes behind it: `sluice.connections sse`. */
type Collected = Record<string, number>

async function collect(reader: MetricReader): Promise<Collected> {
  const { resourceMetrics, errors } = await reader.collect()
  expect(errors).toEqual([])
  const collected: Collected = {}
  for (const { descriptor, dataPoints } of resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics)) {
    for (const { attributes, value } of dataPoints) {
      collected[[descriptor.name, ...Object.values(attributes)].join(' ')] = value as number // no histogram among them
    }
  }
  return collected
}

const Event = z.object({ n: z.number(), text: z.string() })

async function start(kept: { ringSize?: number; retain?: { maxEvents: number } } = {}) {
  const topic = createTopic({ name: 'observed', event: Event, ...kept })
  const t = initTRPC.create()
  const subscription = (whenSlow: WhenSlow<z.infer<typeof Event>>) =>
    t.procedure
      .input(resumable({}))
      .subscription(({ input, signal }) =>
        topic.subscribe('all', { after: input.lastEventId, signal, whenSlow }),
      )
  /** The same by a generator of the application's own. */
  const passedOn = (whenSlow: WhenSlow<z.infer<typeof Event>>) =>
    t.procedure.input(resumable({})).subscription(async function* ({ input, signal }) {
      for await (const event of topic.subscribe('all', { after: input.lastEventId, signal, whenSlow }))
        yield event
    })
  const router = t.router({
    onLatestPassedOn: passedOn({ policy: 'drop-oldest', maxLag: 2 }),
    onConflatedPassedOn: passedOn({ policy: 'conflate', by: () => 'all' }),
    onEvent: subscription('wait'),
    onLatest: subscription({ policy: 'drop-oldest', maxLag: 2 }),
  })
  const scope = new Scope()
  const served = await serve({ router, port: 0, host: '127.0.0.1' })
  scope.defer(() => served.close())
  const reader = new ManualReader()
  const provider = new MeterProvider({ readers: [reader] })
  scope.defer(() => provider.shutdown())
  const observation = observeWithOpenTelemetry(served.sluice, { meter: provider.getMeter('test') })
  scope.defer(() => observation.stop())
  return {
    topic,
    url: served.url,
    sluice: served.sluice,
    observation,
    collect: () => collect(reader),
    openWebSocket: async () => scope.use(await RawWebSocket.open(served.url)),
    openEventStream: async (path: string) => scope.use(await RawResponse.open(`${served.url}/${path}`)),
    [Symbol.asyncDispose]: () => scope.close(),
  }
}

test('what is collected are connections, subscribers, events, encodings and refusals', async () => {
  await using app = await start()
  const sockets = [await app.openWebSocket(), await app.openWebSocket()]
  for (const [i, socket] of sockets.entries()) socket.subscribe(i, 'onEvent', {})
  const response = await app.openEventStream('onEvent?input={}')
  await expect(RawWebSocket.open(app.url, { origin: 'http://elsewhere.example' })).rejects.toThrow('403')
  await eventually(() => app.sluice.stats().subscribers.live === 3)

  for (const n of [1, 2, 3]) await app.topic.publish('all', { n, text: 'hello' })
  for (const reader of [...sockets, response]) await reader.until('"n":3')

  expect(await app.collect()).toEqual({
    'sluice.connections websocket': 2,
    'sluice.connections stream': 0,
    'sluice.connections sse': 1,
    'sluice.subscriptions': 3,
    'sluice.subscriptions.running onEvent': 3,
    'sluice.buffered': 0,
    'sluice.subscribers live': 3,
    'sluice.subscribers behind': 0,
    'sluice.lag': 0,
    'sluice.lag.max': 0,
    'sluice.lag.time': 0,
    'sluice.draining': 0,
    'sluice.received.messages': 2,
    'sluice.received.bytes': app.sluice.stats().bytesIn,
    'sluice.sent.events': 9,
    'sluice.sent.bytes': app.sluice.stats().bytesOut,
    // Each once for the WebSockets and once for SSE; the second WebSocket has them for nothing.
    'sluice.encodings true': 3,
    'sluice.encodings false': 6,
    'sluice.compressed before': 0,
    'sluice.compressed after': 0,
    'sluice.resumes ring': 0,
    'sluice.resumes store': 0,
    'sluice.resumes missed': 0,
    'sluice.dropped.events conflate': 0,
    'sluice.dropped.events drop-oldest': 0,
    'sluice.disconnected': 0,
    'sluice.stalls': 0,
    'sluice.overstayed': 0,
    'sluice.refusals ORIGIN_FORBIDDEN': 1,
  })
})

test('resumes are counted by where the missed events were', async () => {
  await using app = await start({ ringSize: 2, retain: { maxEvents: 3 } })
  const socket = await app.openWebSocket()
  socket.subscribe(0, 'onEvent', {})
  await eventually(() => app.sluice.stats().subscribers.live === 1)
  const cursors: string[] = []
  for (const n of [1, 2, 3, 4, 5]) {
    const { id } = await app.topic.publish('all', { n, text: 'hello' })
    cursors.push(id)
    // One by one, or retention would overtake even those who read along.
    await socket.until(`"n":${n}`)
  }

  const resume = async (id: number, lastEventId: string | undefined, answer: string) => {
    socket.subscribe(id, 'onEvent', { lastEventId })
    await eventually(() =>
      socket.frames.some(frame => frame.startsWith(`{"id":${id},`) && frame.includes(answer)),
    )
  }
  await resume(1, cursors[0], '"error"')
  await resume(2, cursors[1], '"n":5')
  await resume(3, cursors[2], '"n":5')
  await resume(4, cursors[3], '"n":5')
  expect(app.sluice.stats().resumes).toEqual({ ring: 2, store: 1, missed: 1 })
  expect(await app.collect()).toMatchObject({
    'sluice.resumes ring': 2,
    'sluice.resumes store': 1,
    'sluice.resumes missed': 1,
  })
})

test('a reader that stops shows as a stall and a lag, and later as dropped events', async () => {
  await using app = await start()
  const socket = await app.openWebSocket()
  socket.subscribe(1, 'onLatest', {})
  await eventually(() => app.sluice.stats().subscribers.live === 1)
  socket.pause()
  const text = 'x'.repeat(64 * 1024)
  let published = 0
  // Until the kernel takes no more, and then some.
  while (app.sluice.stats().subscribers.lag.max < 10) {
    await app.topic.publish('all', { n: ++published, text })
    await new Promise(resolve => setImmediate(resolve))
  }
  const stalled = await app.collect()
  expect(stalled).toMatchObject({ 'sluice.subscribers live': 0, 'sluice.subscribers behind': 1 })
  expect(stalled['sluice.lag']).toBe(stalled['sluice.lag.max'])
  expect(stalled['sluice.lag.time']).toBeGreaterThan(0)
  expect(stalled['sluice.stalls']).toBeGreaterThan(0)
  expect(stalled['sluice.buffered']).toBeGreaterThan(0)

  socket.resume()
  await socket.until(`"n":${published},`)
  await eventually(() => app.sluice.stats().subscribers.live === 1)
  const seen = socket.frames.filter(frame => frame.includes('"text"')).length
  expect(await app.collect()).toMatchObject({
    'sluice.dropped.events drop-oldest': published - seen,
    'sluice.lag': 0,
    'sluice.subscribers behind': 0,
  })
  expect(published - seen).toBeGreaterThan(0)
})

test.each([
  ['drop-oldest', 'onLatestPassedOn'],
  ['conflate', 'onConflatedPassedOn'],
] as const)(
  'what a reader loses by %s is counted also where a generator passes its events on',
  async (policy, path) => {
    await using app = await start()
    const socket = await app.openWebSocket()
    socket.subscribe(1, path, {})
    let published = 0
    const publish = (text = '') => app.topic.publish('all', { n: ++published, text })
    // The generator asks the topic for its first event when it is first asked itself.
    await eventually(async () => {
      await publish()
      return socket.frames.some(frame => frame.includes('"text"'))
    })
    await publish('the last before the stall')
    await socket.until('the last before the stall')
    const missed = published - socket.frames.filter(frame => frame.includes('"text"')).length
    const before = (await app.collect())[`sluice.dropped.events ${policy}`] ?? 0
    socket.pause()
    const text = 'x'.repeat(64 * 1024)
    while (app.sluice.stats().stalls === 0) {
      await publish(text)
      await new Promise(resolve => setImmediate(resolve))
    }
    for (let more = 0; more < 10; more++) await publish(text)

    socket.resume()
    await socket.until(`"n":${published},`)
    const seen = socket.frames.filter(frame => frame.includes('"text"')).length
    const dropped = published - missed - seen
    expect(dropped).toBeGreaterThan(0)
    expect((await app.collect())[`sluice.dropped.events ${policy}`]).toBe(before + dropped)
  },
)

test('the delay of the event loop is measured from the first collection on, and nothing after the stop', async () => {
  await using app = await start()
  expect(await app.collect()).not.toHaveProperty(['nodejs.eventloop.delay.max'])
  await eventually(async () => {
    const { 'nodejs.eventloop.delay.max': max } = await app.collect()
    return max !== undefined && max > 0 && max < 60
  })
  app.observation.stop()
  app.observation.stop()
  await app.openWebSocket()
  expect(app.sluice.stats().connections.websocket).toBe(1)
  // What the SDK has seen last.
  expect(await app.collect()).toMatchObject({ 'sluice.connections websocket': 0 })
})

test('stats() measures the delay of the event loop from its first call to the end of the server', async () => {
  await using app = await start()
  expect(app.sluice.stats().eventLoop).toBeNull()
  await eventually(() => {
    const { p50Ms = 0, p99Ms = 0, maxMs = 0 } = app.sluice.stats().eventLoop ?? {}
    return 0 < p50Ms && p50Ms <= p99Ms && p99Ms <= maxMs
  })
  await app.sluice.close()
  expect(app.sluice.stats().eventLoop).toBeNull()
})

test('where no SDK is installed, nothing is looked at, and nothing breaks', () => {
  let looks = 0
  const stats = () => {
    looks += 1
    throw new Error('nobody collects')
  }
  observeWithOpenTelemetry({ stats, observe: () => () => {} }).stop()
  expect(looks).toBe(0)
})
