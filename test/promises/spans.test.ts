/** Tracing: each call and each publish is a span, below that of its client, with what it does below itself. */
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base'
import { initTRPC, lazy, TRPCError } from '@trpc/server'
import { observeWithOpenTelemetry, withPublishSpans } from 'trpc-sluice/otel'
import { createTopic, resumable, serve } from 'trpc-sluice/server'
import { Scope } from 'trpc-sluice/shared'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { RawResponse } from '../interop/support/raw-http.ts'
import { RawWebSocket } from '../interop/support/raw-websocket.ts'
import { eventually } from '../kit/deadline.ts'

// The context and the headers are the process's own, as they are in an application.
beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
})
afterAll(() => {
  context.disable()
  propagation.disable()
})

const traceId = '0af7651916cd43dd8448eb211c80319c'
const parentId = 'b7ad6b7169203331'
const headers = { traceparent: `00-${traceId}-${parentId}-01` }

async function start() {
  const scope = new Scope()
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  scope.defer(() => provider.shutdown())
  const tracer = provider.getTracer('test')
  const topic = withPublishSpans(createTopic({ name: 'room', event: z.object({ n: z.number() }) }), {
    tracer,
  })
  const t = initTRPC.create()
  const work = (name: string) => tracer.startSpan(name).end()
  const publish = t.procedure
    .input(z.number())
    .mutation(({ input }) => topic.publish('general', { n: input }))
  const router = t.router({
    hello: t.procedure.query(() => work('a query of the database')),
    publish,
    lazily: lazy(async () => t.router({ publish })),
    forbidden: t.procedure.query(() => {
      throw new TRPCError({ code: 'FORBIDDEN', message: 'not for you' })
    }),
    onRoom: t.procedure
      .input(resumable({}))
      .subscription(({ input, signal }) => topic.subscribe('general', { after: input.lastEventId, signal })),
    onWork: t.procedure.subscription(async function* () {
      yield 1
      await new Promise(resolve => setImmediate(resolve))
      work('the work of a generator')
      yield 2
    }),
    fails: t.procedure.subscription(async function* () {
      yield 1
      throw new Error('a bug')
    }),
  })
  const { sluice, url, close } = await serve({ router, port: 0, host: '127.0.0.1' })
  scope.defer(() => close())
  const observation = observeWithOpenTelemetry(sluice, { tracer })
  scope.defer(() => observation.stop())

  const spanOf = (name: string) => exporter.getFinishedSpans().find(span => span.name === name)
  return {
    url,
    sluice,
    topic,
    observation,
    names: () => exporter.getFinishedSpans().map(({ name }) => name),
    /** A span that has ended, sooner or later. */
    ended: (name: string): Promise<ReadableSpan> =>
      eventually(() => spanOf(name) ?? false, { what: `the span "${name}"` }) as Promise<ReadableSpan>,
    openWebSocket: async () => scope.use(await RawWebSocket.open(url, headers)),
    openEventStream: async (path: string) => scope.use(await RawResponse.open(`${url}/${path}`, { headers })),
    [Symbol.asyncDispose]: () => scope.close(),
  }
}

/** Of the trace that the client has begun, right below it. */
function expectBelowClient(span: ReadableSpan) {
  expect(span.spanContext().traceId).toBe(traceId)
  expect(span.parentSpanContext?.spanId).toBe(parentId)
}

test('a query and a mutation over HTTP are spans below the client, and what they do is below them', async () => {
  await using app = await start()
  await fetch(`${app.url}/hello`, { headers })
  const query = await app.ended('query hello')
  expectBelowClient(query)
  expect(query.kind).toBe(SpanKind.SERVER)
  expect(query.attributes).toEqual({
    'rpc.system': 'trpc',
    'rpc.method': 'hello',
    'sluice.operation': 'query',
  })
  const inner = await app.ended('a query of the database')
  expect(inner.parentSpanContext?.spanId).toBe(query.spanContext().spanId)

  const json = { ...headers, 'content-type': 'application/json' }
  const batch = await fetch(`${app.url}/publish,lazily.publish?batch=1`, {
    method: 'POST',
    headers: json,
    body: '{"0":1,"1":2}',
  })
  const [first] = (await batch.json()) as [{ result: { data: { id: string } } }]
  const mutation = await app.ended('mutation publish')
  expectBelowClient(mutation)
  expectBelowClient(await app.ended('mutation lazily.publish'))
  const publish = await app.ended('publish room')
  expect(publish.parentSpanContext?.spanId).toBe(mutation.spanContext().spanId)
  expect(publish.kind).toBe(SpanKind.PRODUCER)
  expect(publish.attributes).toEqual({
    'messaging.system': 'sluice',
    'messaging.operation.name': 'publish',
    'messaging.operation.type': 'send',
    'messaging.destination.name': 'room',
    'messaging.destination.partition.id': 'general',
    'messaging.message.id': first.result.data.id,
  })
})

test('calls of a WebSocket are spans below its upgrade, one each', async () => {
  await using app = await start()
  const socket = await app.openWebSocket()
  socket.send({ id: 1, method: 'query', params: { path: 'hello' } })
  const query = await app.ended('query hello')
  expectBelowClient(query)
  const inner = await app.ended('a query of the database')
  expect(inner.parentSpanContext?.spanId).toBe(query.spanContext().spanId)
  socket.send({ id: 2, method: 'query', params: { path: 'forbidden' } })
  const { status, attributes, events } = await app.ended('query forbidden')
  expect(status).toEqual({ code: SpanStatusCode.ERROR, message: 'not for you' })
  expect(attributes).toMatchObject({ 'error.type': 'FORBIDDEN' })
  expect(events.map(({ name }) => name)).toEqual(['exception'])
})

test('the span of a subscription lasts as long as it does, and a client that leaves is no error', async () => {
  await using app = await start()
  const socket = await app.openWebSocket()
  socket.subscribe(1, 'onRoom', {})
  const response = await app.openEventStream('onRoom?input={}')
  await eventually(() => app.sluice.stats().subscriptionsByPath['onRoom'] === 2)
  expect(app.names()).toEqual([])
  socket.send({ id: 1, method: 'subscription.stop' })
  response.leave()
  await eventually(() => app.names().length === 2)
  const [first, second] = [await app.ended('subscription onRoom'), app.names()[1]]
  expect(second).toBe('subscription onRoom')
  expectBelowClient(first)
  expect(first.status.code).toBe(SpanStatusCode.UNSET)
  expect(app.sluice.stats().subscriptionsByPath).toEqual({})
})

test('what a generator does between two events is below its subscription', async () => {
  await using app = await start()
  await using _response = await app.openEventStream('onWork')
  const inner = await app.ended('the work of a generator')
  const subscription = await app.ended('subscription onWork')
  expect(inner.parentSpanContext?.spanId).toBe(subscription.spanContext().spanId)
})

test('a subscription that fails, or does not exist, is a span with an error', async () => {
  await using app = await start()
  const socket = await app.openWebSocket()
  socket.subscribe(1, 'fails', {})
  expect((await app.ended('subscription fails')).status).toEqual({
    code: SpanStatusCode.ERROR,
    message: 'a bug',
  })
  socket.subscribe(2, 'x'.repeat(1_000), {})
  const { attributes } = await app.ended(`subscription ${'x'.repeat(200)}`)
  expect(attributes).toMatchObject({ 'rpc.method': 'x'.repeat(200), 'error.type': 'NOT_FOUND' })
  socket.subscribe(3, 'onRoom', { lastEventId: 'of no topic' })
  await eventually(() => app.names().includes('subscription onRoom'))
  expect((await app.ended('subscription onRoom')).attributes).toMatchObject({
    'error.type': 'CURSOR_INVALID',
  })
  expect(app.sluice.stats().subscriptionsByPath).toEqual({})
})

test('a publish that fails is a span with an error, and fails all the same', async () => {
  await using app = await start()
  await expect(app.topic.publish('general', { n: NaN })).rejects.toThrow('not an event')
  const { attributes, status } = await app.ended('publish room')
  expect(status.code).toBe(SpanStatusCode.ERROR)
  expect(attributes).toMatchObject({ 'error.type': 'EVENT_INVALID' })
})

test('after the stop nothing begins, and what has begun still ends', async () => {
  await using app = await start()
  const socket = await app.openWebSocket()
  socket.subscribe(1, 'onRoom', {})
  await eventually(() => app.sluice.stats().subscriptionsByPath['onRoom'] === 1)
  app.observation.stop()
  await fetch(`${app.url}/hello`)
  socket.send({ id: 1, method: 'subscription.stop' })
  await app.ended('subscription onRoom')
  expect(app.names()).not.toContain('query hello')
})

test('the tracer is that of the process, and without one nobody is told of calls', () => {
  let observers = 0
  const stats = () => {
    throw new Error('nobody collects')
  }
  const observe = () => {
    observers += 1
    return () => void (observers -= 1)
  }
  observeWithOpenTelemetry({ stats, observe }).stop()
  expect(observers).toBe(0)

  trace.setGlobalTracerProvider(new BasicTracerProvider())
  const observation = observeWithOpenTelemetry({ stats, observe })
  trace.disable()
  expect(observers).toBe(1)
  observation.stop()
  expect(observers).toBe(0)
})
