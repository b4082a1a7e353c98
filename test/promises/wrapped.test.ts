/**
 * An application that passes a topic's events on from a generator of its own puts the same bytes on the wire as one
 * that returns the stream itself. All that it loses is the position at which a newcomer begins, which only the stream
 * can tell, and only who asks for extensions is told.
 */
import { initTRPC, tracked } from '@trpc/server'
import superjson from 'superjson'
import { msgpackCodec } from 'trpc-sluice/codecs/msgpack'
import { createTopic, resumable, serve } from 'trpc-sluice/server'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Scope } from '../../shared/scope.ts'
import { eventually } from '../kit/deadline.ts'
import { frame, RawTcp } from '../interop/support/raw-tcp.ts'
import { subscriptionOf } from '../interop/support/raw-stream.ts'
import { toBody } from './support/captured.ts'

const Event = z.object({ n: z.number(), at: z.date(), text: z.string() })

const t = initTRPC.create({ transformer: superjson, isDev: false })
const Input = resumable({
  topic: z.enum(['kept', 'trimmed', 'folded']),
  way: z.enum(['returned', 'passed on', 'delegated', 'tracked anew']),
})
type Way = z.output<typeof Input>['way']
const wrappings: readonly Way[] = ['passed on', 'delegated', 'tracked anew']

async function start() {
  const scope = new Scope()
  const kept = createTopic({ name: 'kept', event: Event, ringSize: 20 })
  const trimmed = createTopic({ name: 'trimmed', event: Event, retain: { maxEvents: 5 }, onGap: 'latest' })
  const fold = {
    initial: { sum: 0 },
    step: ({ sum }: { sum: number }, { n }: { n: number }) => ({ sum: sum + n }),
  }
  const folded = createTopic({ name: 'folded', event: Event, fold })
  const topics = { kept, trimmed, folded }
  const router = t.router({
    // One procedure for all, for an error says of which procedure it is.
    events: t.procedure.input(Input).subscription(({ input, signal }) => {
      const stream = topics[input.topic].subscribe('k', { after: input.lastEventId, signal })
      switch (input.way) {
        case 'returned':
          return stream
        case 'passed on':
          return (async function* () {
            for await (const event of stream) yield event
          })()
        case 'delegated':
          return (async function* () {
            yield* stream
          })()
        case 'tracked anew':
          return (async function* () {
            for await (const [id, data] of stream) yield tracked(id, data)
          })()
      }
    }),
  })
  const served = await serve({ router, port: 0, host: '127.0.0.1', codecs: [msgpackCodec()] })
  scope.defer(() => served.close())
  let published = 0
  return {
    port: served.port,
    use: <T extends Disposable>(peer: T) => scope.use(peer),
    /** The next events of a topic, in one turn; returns the ids. */
    async publish(topic: keyof typeof topics, count: number) {
      const events = Array.from({ length: count }, () => ({
        n: ++published,
        at: new Date(1_700_000_000_000 + published * 977),
        text: `é ${'*'.repeat(published % 7)}`,
      }))
      const ids = await Promise.all(events.map(event => topics[topic].publish('k', event)))
      return ids.map(({ id }) => id)
    },
    [Symbol.asyncDispose]: () => scope.close(),
  }
}

type App = Awaited<ReturnType<typeof start>>

interface Peer {
  readonly tcp: RawTcp
  /** What it was sent since the connection was open. */
  bytes(): Buffer
}

const post = (body: string) =>
  `POST /:stream?sluice=1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

type Ask = (app: App, input: z.input<typeof Input>) => Promise<Peer>

const overWebSocket =
  (path: string): Ask =>
  async (app, input) => {
    const tcp = app.use(await RawTcp.upgrade(app.port, path))
    tcp.write(frame(0x81, JSON.stringify(subscriptionOf(1, 'events', superjson.serialize(input)))))
    return { tcp, bytes: () => tcp.received }
  }

const overSse =
  (query: string): Ask =>
  async (app, input) => {
    const tcp = app.use(await RawTcp.open(app.port))
    const json = encodeURIComponent(superjson.stringify(input))
    tcp.write(`GET /events?input=${json}${query} HTTP/1.1\r\nHost: a\r\n\r\n`)
    return { tcp, bytes: () => toBody(tcp.received) }
  }

const overStream: Ask = async (app, input) => {
  const tcp = app.use(await RawTcp.open(app.port))
  const subscriptions = [subscriptionOf(1, 'events', superjson.serialize(input))]
  tcp.write(post(JSON.stringify({ subscriptions })))
  return { tcp, bytes: () => toBody(tcp.received) }
}

interface Carrier {
  readonly name: string
  readonly ask: Ask
  /** What is said before the first event, and for an error. */
  readonly words: { readonly begun: string; readonly failed: string }
  /** For extensions. */
  readonly asksForMore: boolean
}

const messages = { begun: 'started', failed: 'stopped' }
const events = { begun: 'connected', failed: 'serialized-error' }
const batched = overWebSocket('/?sluice=1')
const packed = overWebSocket('/?sluice=1&codec=msgpack')
const carriers: readonly Carrier[] = [
  { name: 'WebSocket', ask: overWebSocket('/'), words: messages, asksForMore: false },
  { name: 'WebSocket, in batches', ask: batched, words: messages, asksForMore: true },
  { name: 'WebSocket, as MessagePack', ask: packed, words: messages, asksForMore: true },
  { name: 'SSE', ask: overSse(''), words: events, asksForMore: false },
  { name: 'SSE, with extensions', ask: overSse('&sluice=1'), words: events, asksForMore: true },
  { name: 'stream', ask: overStream, words: messages, asksForMore: true },
]

describe.each(carriers.map(carrier => [carrier.name, carrier] as const))('over %s', (_, carrier) => {
  const { ask, words, asksForMore } = carrier
  const askEachWay = (app: App, input: Omit<z.input<typeof Input>, 'way'>) =>
    Promise.all((['returned', ...wrappings] as const).map(way => ask(app, { ...input, way })))

  /** @param begun how much each had before, which need not be the same. */
  async function expectTheSame(peers: readonly Peer[], mark: string, begun = peers.map(() => 0)) {
    const heard = () => peers.map((peer, i) => peer.bytes().subarray(begun[i]).toString('latin1'))
    await Promise.all(peers.map(({ tcp }) => tcp.until(mark)))
    await eventually(() => new Set(heard().map(({ length }) => length)).size === 1, {
      what: () => `as many bytes in ${JSON.stringify(heard())}`,
    })
    const [returned, ...wrapped] = heard()
    expect(returned).toContain(mark)
    for (const bytes of wrapped) expect(bytes).toBe(returned)
  }

  test('what was missed, what comes together and what comes alone', async () => {
    await using app = await start()
    const missed = await app.publish('kept', 60)
    const peers = await askEachWay(app, { topic: 'kept', lastEventId: missed[0] })
    await expectTheSame(peers, missed.at(-1) ?? '')
    for (const count of [32, 1, 2]) {
      const last = (await app.publish('kept', count)).at(-1) ?? ''
      await expectTheSame(peers, last)
    }
  })

  test('a gap, and what follows it', async () => {
    await using app = await start()
    const [first = ''] = await app.publish('trimmed', 20)
    const peers = await askEachWay(app, { topic: 'trimmed', lastEventId: first })
    await expectTheSame(peers, 'trimmed')
    const last = (await app.publish('trimmed', 3)).at(-1) ?? ''
    await expectTheSame(peers, last)
  })

  test('a state, and what follows it', async () => {
    await using app = await start()
    await app.publish('folded', 20)
    const peers = await askEachWay(app, { topic: 'folded' })
    await expectTheSame(peers, 'snapshot')
    const last = (await app.publish('folded', 3)).at(-1) ?? ''
    await expectTheSame(peers, last)
  })

  test('a cursor that is none', async () => {
    await using app = await start()
    const peers = await askEachWay(app, { topic: 'kept', lastEventId: 'nonsense' })
    await expectTheSame(peers, words.failed)
  })

  test('a newcomer, but for the position of those who asked for it', async () => {
    await using app = await start()
    await app.publish('kept', 3)
    const peers = await askEachWay(app, { topic: 'kept' })
    await Promise.all(peers.map(({ tcp }) => tcp.until(words.begun)))
    const begun = peers.map(peer => (asksForMore ? peer.bytes().length : 0))
    const last = (await app.publish('kept', 3)).at(-1) ?? ''
    await expectTheSame(peers, last, begun)
  })
})
