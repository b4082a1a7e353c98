/** One contract for all codecs: whatever the messages are written in, the application sees the same. */
import { TRPCClientError } from '@trpc/client'
import { initTRPC, TRPCError } from '@trpc/server'
import { jsonEncoder } from '@trpc/server/adapters/ws'
import superjson from 'superjson'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { msgpackCodec } from 'trpc-sluice/codecs/msgpack'
import { iterate } from 'trpc-sluice/client'
import { protobufCodec } from 'trpc-sluice/codecs/protobuf'
import { createSluice, createTopic, resumable, type Codec } from 'trpc-sluice/server'
import { createHarness, eventually, type ClientOptions } from 'trpc-sluice/testing'
import { z } from 'zod'
import { connect, follow } from '../promises/client/connect.ts'
import { startServer, type ServerKind } from '../promises/client/server.ts'
import { PriceSchema, WatchSchema } from './support/price_pb.ts'
import { RawWebSocket } from './support/raw-websocket.ts'
import { tapWebSocket } from './support/tapped-websocket.ts'

const codecs: readonly (readonly [string, Codec | undefined])[] = [
  ['JSON', undefined],
  ['MessagePack', msgpackCodec()],
  ['Protobuf', protobufCodec()],
  [
    'Protobuf with schemas',
    protobufCodec({ schemas: { onPrice: { output: PriceSchema }, quote: { input: WatchSchema } } }),
  ],
]

const rich = () => ({
  at: new Date(1_700_000_000_123),
  names: new Map<string, unknown>([['inner', new Map([[1, new Set(['a'])]])]]),
  tags: new Set(['x', 'y']),
  big: 2n ** 80n,
  small: -7n,
  bytes: new Uint8Array([0, 127, 255]),
  missing: undefined,
  nothing: null,
  text: 'grüße \u{1F30A} \u2028',
  list: [1.5, -3, 2 ** 40, Infinity],
})

function createApp() {
  const t = initTRPC.create({
    transformer: superjson,
    isDev: false,
    errorFormatter: ({ shape, path, error }) => ({
      ...shape,
      data: { ...shape.data, formatted: { path, at: new Date(5), why: String(error.cause ?? '') } },
    }),
  })
  const ticks = createTopic({
    name: 'ticks',
    event: z.object({ n: z.number(), bytes: z.instanceof(Uint8Array) }),
  })
  const prices = createTopic({
    name: 'prices',
    event: z.object({
      symbol: z.string(),
      price: z.number(),
      chart: z.instanceof(Uint8Array),
      bids: z.array(z.never()),
    }),
    retain: { maxEvents: 2 },
    onGap: 'latest',
  })
  const saved: unknown[] = []
  const made = { numbers: 0 }
  const router = t.router({
    echo: t.procedure.input(z.unknown()).query(({ input }) => ({ got: input })),
    save: t.procedure.input(z.unknown()).mutation(({ input }) => saved.push(input)),
    rich: t.procedure.query(rich),
    conflict: t.procedure.query(() => {
      throw new TRPCError({ code: 'CONFLICT', message: 'taken', cause: new Error('inner') })
    }),
    onTick: t.procedure
      .input(resumable({ key: z.string() }))
      .subscription(({ input, signal }) => ticks.subscribe(input.key, { after: input.lastEventId, signal })),
    onPrice: t.procedure
      .input(resumable({ symbol: z.string() }))
      .subscription(({ input, signal }) =>
        prices.subscribe(input.symbol, { after: input.lastEventId, from: 'start', signal }),
      ),
    quote: t.procedure
      .input(z.object({ symbol: z.string(), since: z.bigint() }))
      .query(({ input }) => `${input.symbol} since ${input.since}`),
    values: t.procedure.input(z.array(z.unknown())).subscription(async function* ({ input }) {
      yield* input
    }),
    numbers: t.procedure.subscription(async function* () {
      for (;;) yield ++made.numbers
    }),
    failing: t.procedure.subscription(async function* () {
      yield 1
      throw new TRPCError({ code: 'FORBIDDEN', message: 'no more' })
    }),
    unsendable: t.procedure.query(() => ({ symbol: Symbol('none') })),
  })
  return { router, ticks, prices, saved, made }
}

describe.each(codecs)('%s', (_, codec) => {
  const start = async () => {
    const app = createApp()
    const tap = tapWebSocket()
    const link: ClientOptions = { WebSocket: tap.WebSocket, ...(codec && { codec }) }
    const harness = await createHarness({
      router: app.router,
      transformer: superjson,
      transport: 'websocket',
      sluice: { ...(codec && { codecs: [codec] }) },
      link,
    })
    const { client } = harness
    return { ...app, ...tap, harness, client, [Symbol.asyncDispose]: () => harness.close() }
  }

  test('dates, maps, sets, bigints, bytes and undefined arrive as they were, both ways', async () => {
    await using app = await start()
    expect(await app.client.rich.query()).toEqual(rich())
    expect(await app.client.echo.query(rich())).toEqual({ got: rich() })
    await app.client.save.mutate(rich())
    expect(app.saved).toEqual([rich()])
    await expect(app.client.echo.query(undefined)).resolves.toEqual({ got: undefined })
  })

  test('the client sends text until the server has answered, and no longer', async () => {
    await using app = await start()
    await Promise.all([app.client.echo.query(1), app.client.echo.query(2)])
    await Promise.all([app.client.echo.query(3), app.client.echo.query(4)])
    const later = codec ? (['binary', 'binary'] as const) : (['text', 'text'] as const)
    expect(app.kindsFrom('server')).toEqual([later[0]])
    const sent = app.passed.filter(({ from }) => from === 'client').map(({ kind }) => kind)
    expect(sent).toEqual(['text', later[0]]) // each pair in one frame
  })

  test('every event of a topic arrives once and in order, also after a cut', async () => {
    await using app = await start()
    const seen = app.harness.record(client => client.onTick, { key: 'a' })
    const others = Array.from({ length: 3 }, () => app.harness.connect())
    const theirs = others.map(other => other.record(client => client.onTick, { key: 'a' }))
    await Promise.all([seen, ...theirs].map(({ started }) => started))
    const bytes = new Uint8Array(10_240).map((_, i) => i)
    await app.ticks.publish('a', { n: 1, bytes })
    await app.ticks.publish('a', { n: 2, bytes: new Uint8Array(0) })
    await Promise.all([seen, ...theirs].map(one => one.until(2)))
    await app.harness.proxy.cut()
    await app.ticks.publish('a', { n: 3, bytes })
    await Promise.all([seen, ...theirs].map(one => one.until(3)))
    for (const one of [seen, ...theirs]) {
      expect(one.report(3)).toEqual({ delivered: 3, missing: [], repeated: [], outOfOrder: [] })
      expect(one.items[0]).toMatchObject({ data: { n: 1, bytes } })
    }
    // One encoding each for the first two; the third may be read from the ring by some, and so be in two batches.
    expect(app.harness.sluice.stats().encodings.misses).toBeLessThanOrEqual(4)
  })

  test('what may have a schema arrives as it was, and so does a gap in it', async () => {
    await using app = await start()
    await expect(app.client.quote.query({ symbol: 'ACME', since: 5n })).resolves.toBe('ACME since 5')
    await expect(app.client.quote.query({ symbol: 'ACME', since: 2n ** 60n })).resolves.toBe(
      `ACME since ${2n ** 60n}`,
    )
    const price = (price: number) => ({ symbol: 'ACME', price, chart: new Uint8Array([1, 2]), bids: [] })
    const { id } = await app.prices.publish('ACME', price(1.5))
    for (const next of [2, 3, 4]) await app.prices.publish('ACME', price(next))
    const seen = app.harness.record(client => client.onPrice, { symbol: 'ACME', lastEventId: id })
    await seen.until(items => items.length === 1)
    await app.prices.publish('ACME', price(5))
    await seen.until(items => items.length === 2)
    expect(seen.items).toMatchObject([{ data: { $sluice: 'gap', reason: 'trimmed' } }, { data: price(5) }])
  })

  test('the values of a generator arrive, whatever they are', async () => {
    await using app = await start()
    const values = [1, 'two', null, undefined, rich(), []]
    const seen = app.harness.record(client => client.values, values)
    await seen.until(items => items.length === values.length)
    expect(seen.items).toEqual(values)
  })

  test('a loop that takes slowly holds the server back', async () => {
    await using app = await start()
    for await (const n of iterate(app.client.numbers, undefined, { maxBuffered: 10 })) if (n === 100) break
    expect(app.made.numbers).toBeLessThanOrEqual(110)
  })

  test('errors arrive as the formatter makes them', async () => {
    await using app = await start()
    const error = await app.client.conflict.query().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(TRPCClientError)
    expect((error as TRPCClientError<typeof app.router>).data).toEqual({
      code: 'CONFLICT',
      httpStatus: 409,
      path: 'conflict',
      formatted: { path: 'conflict', at: new Date(5), why: 'Error: inner' },
    })
    const seen = app.harness.record(client => client.failing)
    await expect(seen.until(2)).rejects.toThrow('the stream failed')
    expect(seen.error?.message).toBe('no more')
    expect(seen.items).toEqual([1])
  })

  test('a value that cannot be encoded costs its own request only', async () => {
    await using app = await start()
    if (codec) {
      await expect(app.client.unsendable.query()).rejects.toThrow('Unknown type: symbol')
      await expect(app.client.echo.query(Symbol('none'))).rejects.toThrow('Unknown type: symbol')
    }
    await expect(app.client.echo.query('well')).resolves.toEqual({ got: 'well' })
  })
})

const [, ...binary] = codecs

describe.each(binary)('a client that would like %s', (_, codec) => {
  test.each(['stock tRPC', 'Sluice'] satisfies ServerKind[])(
    'speaks JSON with a %s server that lacks it',
    async kind => {
      await using server = await startServer(kind)
      const tap = tapWebSocket()
      using client = connect({ url: server.url, WebSocket: tap.WebSocket, codec })
      const { seen } = follow(client)
      expect(await client.client.echo.query({ at: new Date(0) })).toEqual({ at: new Date(0) })
      server.log.publish(1, 2)
      await seen.until(2)
      server.cut()
      server.log.publish(3)
      await seen.until(3)
      expect(seen.report(3)).toEqual({ delivered: 3, missing: [], repeated: [], outOfOrder: [] })
      expect(client.errors).toEqual([])
      expect(new Set(tap.passed.map(({ kind }) => kind))).toEqual(new Set(['text']))
    },
  )
})

describe.each(binary)('without a transformer, and with %s', (_, codec) => {
  /** What JSON cannot carry, some of which it says in silence. */
  const beyondJson = () => [
    2n ** 80n,
    new Uint8Array([0, 255]),
    new Date(5),
    [1, undefined, 2],
    new Set([NaN]),
  ]

  const start = async (served: Codec | null | undefined = codec) => {
    const t = initTRPC.create()
    const saved: unknown[] = []
    const router = t.router({
      echo: t.procedure.input(z.unknown()).query(({ input }) => input),
      save: t.procedure.input(z.unknown()).mutation(({ input }) => void saved.push(input)),
      values: t.procedure.input(z.array(z.unknown())).subscription(async function* ({ input }) {
        yield* input
      }),
    })
    const tap = tapWebSocket()
    const harness = await createHarness({
      router,
      transport: 'websocket',
      sluice: { ...(served && { codecs: [served] }) },
      link: { WebSocket: tap.WebSocket, ...(codec && { codec }), heartbeatTimeoutMs: 100 },
    })
    return { saved, ...tap, harness, ...harness, [Symbol.asyncDispose]: () => harness.close() }
  }

  test('what JSON cannot carry arrives as it was in the very first request, too', async () => {
    for (const value of beyondJson()) {
      await using app = await start()
      expect(await app.client.echo.query({ value })).toEqual({ value })
    }
    await using app = await start()
    const seen = app.record(client => client.values, beyondJson())
    await seen.until(({ length }) => length === beyondJson().length)
    expect(seen.items).toEqual(beyondJson())
  })

  test('what is asked for behind it keeps its place, and what is taken back is not asked for', async () => {
    await using app = await start()
    const leaving = app.record(client => client.values, [1n])
    const saved = ['first', 1n, 'third', [2n]].map(value => app.client.save.mutate(value))
    leaving.stop()
    await Promise.all(saved)
    expect(app.saved).toEqual(['first', 1n, 'third', [2n]])
    expect(leaving.items).toEqual([])
    expect(app.kindsFrom('server')).toEqual(['binary'])
  })

  test('what JSON can carry waits for nothing', async () => {
    await using app = await start()
    await app.client.echo.query({ list: [null, { text: '' }], left: undefined })
    expect(app.kindsFrom('client')).toEqual(['text'])
  })

  test('it fails with a server that lacks the codec, and costs its neighbours nothing', async () => {
    await using app = await start(null)
    const seen = app.record(client => client.values, [1n])
    const [big, date, plain] = [1n, new Date(5), 'plain'].map(value => app.client.echo.query(value))
    await expect(big).rejects.toThrow(/BigInt/)
    await expect(big).rejects.toBeInstanceOf(TRPCClientError)
    expect(await date).toBe(new Date(5).toJSON()) // as JSON has it
    expect(await plain).toBe('plain')
    await expect(seen.until(1)).rejects.toThrow('the stream failed')
    expect(seen.error).toBeInstanceOf(TRPCClientError)
    const later = app.record(client => client.values, [1n])
    await expect(later.started).rejects.toThrow(/BigInt/)
    await app.proxy.cut()
    const other = app.record(client => client.values, ['after a cut'])
    await other.until(({ length }) => length > 0)
  })
})

test('a server that talks nonsense in binary is left, told to onError, and tried again', async () => {
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  const nonsense = [
    Uint8Array.of(0x81),
    Uint8Array.of(0xdd, 1, 0, 0, 0),
    Uint8Array.of(0x81, 0xa2, 0x69, 0x64, 0x01),
  ]
  let connections = 0
  wss.on('connection', socket => socket.send(nonsense[connections++ % nonsense.length] ?? ''))
  await once(wss, 'listening')
  try {
    const { port } = wss.address() as AddressInfo
    using client = connect({ url: `ws://127.0.0.1:${port}`, transport: 'websocket', codec: msgpackCodec() })
    follow(client)
    await eventually(() => connections > nonsense.length && client.errors.length >= nonsense.length)
    for (const error of client.errors) expect(error).toMatchObject({ code: 'MESSAGE_INVALID' })
  } finally {
    for (const socket of wss.clients) socket.terminate()
    wss.close()
  }
})

test('a server with codecs speaks JSON with everybody else, and calls binary frames of theirs malformed', async () => {
  const { router } = createApp()
  const codecs = binary.flatMap(([, codec]) => codec ?? [])
  await using app = await createHarness({ router, transformer: superjson, sluice: { codecs } })
  for (const query of ['', '?codec=msgpack', '?sluice=1&codec=unheard-of', '?sluice=1']) {
    await using socket = await RawWebSocket.open(`${app.url}/${query}`)
    socket.send({ id: 1, method: 'query', params: { path: 'echo', input: { json: 1 } } })
    await socket.count(1)
    socket.send(Uint8Array.of(0x81, 0xa2, 0x69, 0x64, 0x01))
    const [answer, refusal = ''] = await socket.count(2)
    expect(answer).toBe('{"id":1,"result":{"type":"data","data":{"json":{"got":1}}}}')
    expect(JSON.parse(refusal)).toMatchObject({
      id: null,
      error: { json: { data: { code: 'PARSE_ERROR' } } },
    })
  }
  expect(app.sluice.stats().refusals).toEqual({ MESSAGE_INVALID: 4 })
})

test('codecs are refused beside an encoder for all messages, and two of one name', () => {
  const { router } = createApp()
  const codec = msgpackCodec()
  expect(() => createSluice({ router, codecs: [codec], experimental_encoder: jsonEncoder })).toThrow(
    TypeError,
  )
  expect(() => createSluice({ router, codecs: [codec, msgpackCodec()] })).toThrow(
    'the same name: msgpack, msgpack',
  )
})
