/**
 * The numbers of `stats()` as OpenTelemetry metrics, and each call as a span. Nothing is measured on the way of an
 * event: all instruments are observed together, when a reader of the application's SDK collects, and a span has a
 * beginning and an end. Without an SDK neither happens. (Spans that nobody records would be 10 µs a call, Node 20.)
 *
 * The messaging conventions name what clients of a broker do (`messaging.client.…`), and a Sluice is on the broker's
 * side: so the names are our own, formed alike. The event loop has its name from the conventions for Node.
 */
import {
  metrics,
  ProxyTracerProvider,
  trace,
  type BatchObservableResult,
  type Meter,
  type Observable,
  type Tracer,
} from '@opentelemetry/api'
import type { CallObserver } from './calls.ts'
import { EventLoopDelay } from './event-loop.ts'
import { createCallSpans } from './spans.ts'
import type { SluiceStats } from './stats.ts'

export { withPublishSpans } from './spans.ts'

export interface OpenTelemetryOptions {
  /** Default: the global meter named `trpc-sluice`. Asked for at once, so register the SDK's provider before. */
  readonly meter?: Meter
  /** Default: the global tracer named `trpc-sluice`, if a provider is registered by now; else there are no spans. */
  readonly tracer?: Tracer
}

/** What is observed: a `Sluice`, by the members that this needs. */
interface Observed {
  stats(): SluiceStats
  observe(observer: CallObserver): () => void
}

/**
 * Registers a server's numbers as OpenTelemetry metrics, and makes a span of each query, mutation and subscription,
 * until `stop` is called: any number of times, and not by the server's own `close`. Spans that have begun still end.
 *
 * @example
 * ```ts
 * const observation = observeWithOpenTelemetry(sluice)
 * ```
 */
export function observeWithOpenTelemetry(
  sluice: Observed,
  options: OpenTelemetryOptions = {},
): { stop(): void } {
  const { meter = metrics.getMeter('trpc-sluice'), tracer = registeredTracer() } = options
  const unobserve = tracer && sluice.observe(createCallSpans(tracer))
  const instruments = createInstruments(meter)
  const eventLoop = new EventLoopDelay() // not that of stats(), whose figures are for whoever looks next
  const observe = (result: BatchObservableResult) => {
    observeStats(result, instruments, sluice.stats())
    const delay = eventLoop.take()
    if (!delay) return
    result.observe(instruments.delayP50, delay.p50Ms / 1_000)
    result.observe(instruments.delayP99, delay.p99Ms / 1_000)
    result.observe(instruments.delayMax, delay.maxMs / 1_000)
  }
  const observables: Observable[] = Object.values(instruments)
  meter.addBatchObservableCallback(observe, observables)
  return {
    stop() {
      meter.removeBatchObservableCallback(observe, observables)
      eventLoop[Symbol.dispose]()
      unobserve?.()
    },
  }
}

/** Null where no SDK has registered a provider: the spans of the API's own tracer are empty, and not free. */
function registeredTracer(): Tracer | null {
  const provider = trace.getTracerProvider()
  if (provider instanceof ProxyTracerProvider) return provider.getDelegateTracer('trpc-sluice') ?? null
  return provider.getTracer('trpc-sluice')
}

type Instruments = ReturnType<typeof createInstruments>

function createInstruments(meter: Meter) {
  const now = (name: string, unit: string, description: string) =>
    meter.createObservableUpDownCounter(name, { unit, description })
  const sinceStart = (name: string, unit: string, description: string) =>
    meter.createObservableCounter(name, { unit, description })
  const gauge = (name: string, unit: string, description: string) =>
    meter.createObservableGauge(name, { unit, description })
  return {
    connections: now('sluice.connections', '{connection}', 'Open connections'),
    subscriptions: now('sluice.subscriptions', '{subscription}', 'Running subscriptions'),
    running: now('sluice.subscriptions.running', '{subscription}', 'Those set up, by procedure'),
    buffered: now('sluice.buffered', 'By', 'Bytes that the network has not taken yet'),
    subscribers: now('sluice.subscribers', '{subscriber}', 'Subscribers of topics that are pushed to'),
    lag: now('sluice.lag', '{event}', 'Events that subscribers of topics have yet to be given'),
    maxLag: gauge('sluice.lag.max', '{event}', 'The same for the one that is furthest behind'),
    lagTime: gauge('sluice.lag.time', 's', 'How long ago the oldest of these events was published'),
    draining: gauge('sluice.draining', '1', '1 once the server is going away, else 0'),
    receivedMessages: sinceStart('sluice.received.messages', '{message}', 'Received over WebSockets'),
    receivedBytes: sinceStart('sluice.received.bytes', 'By', 'The bytes of these'),
    sentEvents: sinceStart('sluice.sent.events', '{event}', 'Events handed to connections'),
    sentBytes: sinceStart('sluice.sent.bytes', 'By', 'Bytes of encoded messages handed to connections'),
    encodings: sinceStart('sluice.encodings', '{event}', 'Events encoded, and encodings used again'),
    compressed: sinceStart('sluice.compressed', 'By', 'Bytes that were compressed, before and after'),
    resumes: sinceStart('sluice.resumes', '{resume}', 'Resumed subscribers, by where their events were'),
    dropped: sinceStart('sluice.dropped.events', '{event}', 'Events that slow readers did not get'),
    disconnected: sinceStart('sluice.disconnected', '{subscription}', 'Subscriptions ended for stalling'),
    stalls: sinceStart('sluice.stalls', '{stall}', 'Times that a connection was full'),
    overstayed: sinceStart('sluice.overstayed', '{subscription}', 'Generators that did not end in time'),
    refusals: sinceStart('sluice.refusals', '{refusal}', 'What strangers were refused, by error code'),
    delayP50: gauge('nodejs.eventloop.delay.p50', 's', 'Event loop delay since the last collection'),
    delayP99: gauge('nodejs.eventloop.delay.p99', 's', 'Event loop delay since the last collection'),
    delayMax: gauge('nodejs.eventloop.delay.max', 's', 'Event loop delay since the last collection'),
  }
}

function observeStats(result: BatchObservableResult, to: Instruments, stats: SluiceStats): void {
  const { connections, subscribers, encodings, compression, resumes, dropped } = stats
  for (const [carrier, count] of Object.entries(connections)) {
    result.observe(to.connections, count, { 'sluice.carrier': carrier })
  }
  result.observe(to.subscriptions, stats.subscriptions)
  for (const [path, count] of Object.entries(stats.subscriptionsByPath)) {
    result.observe(to.running, count, { 'rpc.method': path })
  }
  result.observe(to.buffered, stats.bufferedBytes)
  result.observe(to.subscribers, subscribers.live, { 'sluice.subscriber.state': 'live' })
  result.observe(to.subscribers, subscribers.behind, { 'sluice.subscriber.state': 'behind' })
  result.observe(to.lag, subscribers.lag.total)
  result.observe(to.maxLag, subscribers.lag.max)
  result.observe(to.lagTime, subscribers.lag.maxMs / 1_000)
  result.observe(to.draining, stats.draining ? 1 : 0)
  result.observe(to.receivedMessages, stats.messagesIn)
  result.observe(to.receivedBytes, stats.bytesIn)
  result.observe(to.sentEvents, stats.eventsOut)
  result.observe(to.sentBytes, stats.bytesOut)
  result.observe(to.encodings, encodings.hits, { 'sluice.encoding.remembered': true })
  result.observe(to.encodings, encodings.misses, { 'sluice.encoding.remembered': false })
  result.observe(to.compressed, compression.bytesIn, { 'sluice.compression.side': 'before' })
  result.observe(to.compressed, compression.bytesOut, { 'sluice.compression.side': 'after' })
  for (const [source, count] of Object.entries(resumes)) {
    result.observe(to.resumes, count, { 'sluice.resume.source': source })
  }
  result.observe(to.dropped, dropped.conflate, { 'sluice.policy': 'conflate' })
  result.observe(to.dropped, dropped.dropOldest, { 'sluice.policy': 'drop-oldest' })
  result.observe(to.disconnected, dropped.disconnect)
  result.observe(to.stalls, stats.stalls)
  result.observe(to.overstayed, stats.overstayed)
  for (const [code, count] of Object.entries(stats.refusals)) {
    result.observe(to.refusals, count, { 'error.type': code })
  }
}
