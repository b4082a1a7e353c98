/**
 * Promises 6 and 8 by the bytes themselves: subscribers of the same get the same bytes, and one who did not ask for
 * extensions sees none.
 */
import { initTRPC } from '@trpc/server'
import { createParser } from 'eventsource-parser'
import { createTopic, resumable, serve } from 'trpc-sluice/server'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Scope } from '../../shared/scope.ts'
import { eventually } from '../kit/deadline.ts'
import { toBody } from './support/captured.ts'
import { frame, RawTcp } from '../interop/support/raw-tcp.ts'
import { RawResponse } from '../interop/support/raw-http.ts'
import { RawWebSocket } from '../interop/support/raw-websocket.ts'

const t = initTRPC.create()

async function start() {
  const scope = new Scope()
  const Event = z.object({ n: z.number(), text: z.string().optional() })
  const one = createTopic({
    name: 'one',
    event: Event,
    retain: { maxEvents: 50 },
    ringSize: 50,
    onGap: 'latest',
  })
  const folded = createTopic({
    name: 'folded',
    event: Event,
    fold: { initial: 0, step: (sum: number, { n }) => sum + n },
  })
  const given = t.procedure.input(resumable())
  const router = t.router({
    one: given.subscription(({ input, signal }) => one.subscribe('k', { after: input.lastEventId, signal })),
    folded: given.subscription(({ signal }) => folded.subscribe('k', { signal })),
    lagging: given.subscription(({ signal }) =>
      one.subscribe('k', { signal, whenSlow: { policy: 'drop-oldest', maxLag: 2 } }),
    ),
    ends: t.procedure.subscription(async function* () {
      yield 1
    }),
    fails: t.procedure.subscription(async function* () {
      yield 1
      throw new Error('a mistake')
    }),
  })
  const served = await serve({ router, port: 0, host: '127.0.0.1' })
  scope.defer(() => served.close())
  const { sluice, port, url } = served
  const live = (count: number) => eventually(() => sluice.stats().subscribers.live === count)
  return {
    port,
    url,
    sluice,
    topics: { one, folded },
    live,
    async openWebSocket(path: string) {
      const tcp = scope.use(await RawTcp.upgrade(port))
      tcp.write(frame(0x81, JSON.stringify({ id: 0, method: 'subscription', params: { path, input: {} } })))
      return tcp
    },
    async openEventStream(path: string) {
      const tcp = scope.use(await RawTcp.open(port))
      tcp.write(`GET /${path}?input={} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
      await tcp.until('event: connected')
      return tcp
    },
    use: <T extends AsyncDisposable>(client: T) => scope.use(client),
    [Symbol.asyncDispose]: () => scope.close(),
  }
}

describe('subscribers of the same', () => {
  for (const carrier of ['WebSocket', 'SSE'] as const) {
    test(`get the same bytes over ${carrier}, live or behind`, async () => {
      await using app = await start()
      const { one } = app.topics
      const open = () => (carrier === 'SSE' ? app.openEventStream('one') : app.openWebSocket('one'))
      const peers = await Promise.all(Array.from({ length: 5 }, open))
      await app.live(5)
      const text = 'é'.repeat(500)
      for (let n = 0; n < 30; n++) await one.publish('k', { n, text })
      await one.publish('k', { n: 30, text: 'the end' })
      await Promise.all(peers.map(peer => peer.until('the end')))
      const [first, ...others] = peers.map(({ received }) =>
        carrier === 'SSE' ? toBody(received) : received,
      )
      for (const bytes of others) expect(bytes.equals(first as Buffer)).toBe(true)
      // Encoded once for all five.
      expect(app.sluice.stats().encodings).toMatchObject({ misses: 31 })
    })
  }
})

/** What tRPC 11 has, and what every client gets with an error by a SluiceError (docs/wire.md, section 4). */
const data = z.unknown().refine(value => value !== undefined)
const errorShape = z.strictObject({
  message: z.string(),
  code: z.number(),
  data: z.strictObject({
    code: z.string(),
    httpStatus: z.number(),
    path: z.string().optional(),
    stack: z.string().optional(),
    sluice: z.strictObject({ code: z.string(), data: z.record(z.string(), z.unknown()) }).optional(),
  }),
})
const stockMessage = z.union([
  z.strictObject({ id: z.number(), result: z.strictObject({ type: z.enum(['started', 'stopped']) }) }),
  z.strictObject({
    id: z.number(),
    result: z.strictObject({ type: z.literal('data'), data, id: z.string().optional() }),
  }),
  z.strictObject({ id: z.number(), error: errorShape }),
  z.strictObject({ id: z.null(), method: z.literal('reconnect') }),
])

describe('a session with events, states, gaps, lag, errors, ends and a drain', () => {
  /** The same for either carrier, and for those who ask for extensions and those who do not. */
  async function hold(
    app: Awaited<ReturnType<typeof start>>,
    hear: (path: string, input: object) => Promise<Peer>,
  ) {
    const { one, folded } = app.topics
    const { id: old } = await one.publish('k', { n: 0 })
    const peers = [await hear('one', {}), await hear('lagging', {}), await hear('folded', {})]
    await app.live(3)
    const [reader, lagging] = peers as [Peer, Peer]
    lagging.pause()
    const text = 'x'.repeat(64 * 1024)
    for (let n = 1; app.sluice.stats().subscribers.lag.max < 10; n++) {
      await Promise.all([one.publish('k', { n, text }), folded.publish('k', { n })])
      await reader.until(`"n":${n},`)
    }
    lagging.resume()
    await lagging.until('"dropped"')
    peers.push(await hear('one', { lastEventId: old }))
    await (peers.at(-1) as Peer).until('"trimmed"')
    for (const path of ['ends', 'fails']) peers.push(await hear(path, {}))
    await Promise.all(peers.slice(-2).map(peer => peer.done))
    const invalid = await hear('one', { lastEventId: 'nonsense' })
    await invalid.until('CURSOR_INVALID')
    await app.sluice.drain({ withinMs: 1 })
  }

  interface Peer {
    pause(): void
    resume(): void
    until(text: string): Promise<void>
    readonly done: Promise<unknown>
  }

  async function overWebSocket(query: string): Promise<unknown[]> {
    await using app = await start()
    const sockets: RawWebSocket[] = []
    await hold(app, async (path, input) => {
      const socket = app.use(await RawWebSocket.open(app.url + query))
      sockets.push(socket)
      socket.subscribe(sockets.length, path, input)
      await socket.until('started')
      const pause = () => socket.pause()
      const done = {
        get done() {
          return socket.until('"stopped"')
        },
      }
      return Object.assign(done, {
        pause,
        resume: () => socket.resume(),
        until: (text: string) => socket.until(text),
      })
    })
    return sockets
      .flatMap(({ frames }) => frames)
      .filter(text => text !== 'PING')
      .map(text => JSON.parse(text) as unknown)
  }

  async function overSse(query: string): Promise<{ event: string | undefined; data: string }[]> {
    await using app = await start()
    const responses: RawResponse[] = []
    await hold(app, async (path, input) => {
      const url = `${app.url}/${path}?input=${encodeURIComponent(JSON.stringify(input))}${query}`
      const response = app.use(await RawResponse.open(url))
      responses.push(response)
      return {
        pause: () => response.pause(),
        resume: () => response.resume(),
        until: text => response.until(text),
        done: response.ended,
      }
    })
    const events: { event: string | undefined; data: string }[] = []
    const parser = createParser({ onEvent: ({ event, data }) => void events.push({ event, data }) })
    for (const { text } of responses) parser.feed(text)
    return events
  }

  test('has nothing over WebSocket that tRPC does not have, but for those who asked', async () => {
    const messages = await overWebSocket('')
    expect(messages.length).toBeGreaterThan(20)
    for (const message of messages)
      expect(stockMessage.safeParse(message), JSON.stringify(message)).toMatchObject({ success: true })
    const extended = await overWebSocket('?sluice=1')
    expect(extended.filter(message => !stockMessage.safeParse(message).success)).not.toEqual([])
  })

  test('has nothing over SSE that tRPC does not have, but for those who asked', async () => {
    const events = await overSse('')
    expect(events.length).toBeGreaterThan(20)
    const controls = events.filter(({ event }) => event !== undefined)
    expect(new Set(controls.map(({ event }) => event))).toEqual(
      new Set(['connected', 'serialized-error', 'return']),
    )
    for (const { event, data } of controls) {
      if (event === 'serialized-error')
        expect(errorShape.safeParse(JSON.parse(data)), data).toMatchObject({ success: true })
      else expect(data).toBe(event === 'connected' ? '{}' : '')
    }
    const extended = await overSse('&sluice=1')
    expect(extended.filter(({ event, data }) => event === 'connected' && data !== '{}')).not.toEqual([])
  })
})
