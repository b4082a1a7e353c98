/**
 * Whatever bytes come, from a client or from a server: they are read or refused in the typed way, any cut of them
 * gives the same messages, and what is made of them is bounded by a multiple of what came.
 */
import { createTRPCClient } from '@trpc/client'
import { initTRPC, TRPCError } from '@trpc/server'
import { jsonEncoder } from '@trpc/server/adapters/ws'
import fc from 'fast-check'
import superjson from 'superjson'
import { sluiceLink } from 'trpc-sluice/client'
import { createTopic } from 'trpc-sluice/server'
import { createFakeClock } from 'trpc-sluice/testing'
import { afterAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { decodeFrame } from '../../client/transports/decode.ts'
import { readConnectionParams } from '../../server/session/hello.ts'
import { isSluiceError } from '../../shared/errors.ts'
import { formatSseControl, formatSseData, sseEvent } from '../../shared/protocol/sse.ts'

let slowestMs = 0
afterAll(() => console.log(`the slowest call of a decoder took ${slowestMs.toFixed(1)} ms`))

function timed<T>(call: () => T): T {
  const begun = performance.now()
  try {
    return call()
  } finally {
    slowestMs = Math.max(slowestMs, performance.now() - begun)
  }
}

const t = initTRPC.create()
type Router = ReturnType<typeof createRouter>
const createRouter = () =>
  t.router({
    on: t.procedure.subscription(async function* (): AsyncGenerator<unknown> {
      yield* []
    }),
  })

/** Subscribes to a server that says these bytes, in these pieces, and nothing more. */
async function hear(pieces: readonly Uint8Array[]) {
  const seen: unknown[] = []
  const told: unknown[] = []
  const body = () =>
    new ReadableStream<Uint8Array>({
      start(controller) {
        for (const piece of pieces) controller.enqueue(piece)
        controller.close()
      },
    })
  const link = sluiceLink<Router>({
    url: 'http://host/',
    transport: 'sse',
    clock: createFakeClock(), // so that it does not come back
    fetch: async () => new Response(body(), { headers: { 'content-type': 'text/event-stream' } }),
    onError: error => told.push(error),
  })
  const lost = new Promise<void>(resolve => {
    link.connection.subscribe(() => link.connection.get().at === 'waiting' && resolve())
  })
  const client = createTRPCClient<Router>({ links: [link] })
  const over = new Promise<void>(resolve => {
    client.on.subscribe(undefined, {
      onData: data => seen.push(data),
      onError: error => {
        told.push(error)
        resolve()
      },
      onComplete: resolve,
    })
  })
  await Promise.race([over, lost])
  await link.close()
  return { seen, told }
}

const bytesOf = (text: string) => new TextEncoder().encode(text)

function cut(bytes: Uint8Array, at: readonly number[]): Uint8Array[] {
  const ends = [...new Set(at.map(place => place % (bytes.length + 1)))].toSorted((a, b) => a - b)
  return [...ends, bytes.length].map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end))
}

describe('a stream of events', () => {
  test('is the same however its bytes are cut', async () => {
    const event = fc.record({
      id: fc.option(fc.stringMatching(/^[a-zé🎉]{1,5}$/u), { nil: undefined }),
      data: fc.jsonValue(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(event), fc.array(fc.nat()), async (events, at) => {
        const text = [
          formatSseControl(sseEvent.connected, '{}'),
          ...events.map(({ id, data }) => formatSseData(JSON.stringify(data), id)),
          formatSseControl(sseEvent.return, ''),
        ].join('')
        const { seen, told } = await hear(cut(bytesOf(text), at))
        const json = events.map(({ data }) => JSON.parse(JSON.stringify(data)) as unknown)
        expect(seen).toEqual(
          json.map((data, i) => (events[i]?.id === undefined ? data : { id: events[i].id, data })),
        )
        expect(told).toEqual([])
      }),
      { numRuns: 200 },
    )
  })

  test('of any bytes at all is read or given up, and never throws', async () => {
    const fragment = fc.constantFrom(
      'event: connected\ndata: {}\n\n',
      'data: ',
      'id: ',
      'event: serialized-error\n',
      'event: return\n',
      '\n\n',
      '\r',
      '{"',
      '[[',
      'null',
      '\0',
      '\ufeff',
      'retry: 1\n',
    )
    const piece = fc.oneof(fragment.map(bytesOf), fc.uint8Array({ maxLength: 40 }))
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async pieces => {
        const { seen, told } = await hear(pieces)
        const size = pieces.reduce((sum, { length }) => sum + length, 0)
        expect(JSON.stringify(seen).length).toBeLessThanOrEqual(6 * size + 100)
        for (const error of told) expect(error).toBeInstanceOf(Error)
      }),
      { numRuns: 300 },
    )
  })
})

describe('a frame', () => {
  const transformers = {
    none: { deserialize: (value: unknown) => value },
    superjson: { deserialize: (value: unknown) => superjson.deserialize(value as never) },
  }
  const deep = '['.repeat(20_000) + ']'.repeat(20_000)
  const wide = `{${Array.from({ length: 10_000 }, (_, i) => `"${i}":0`).join()}}`

  test.each(Object.entries(transformers))(
    'of any text is read or refused (transformer: %s)',
    (_, transformer) => {
      const read = (text: string) => {
        try {
          timed(() => decodeFrame(text, transformer))
        } catch (thrown) {
          expect(isSluiceError(thrown), `${String(thrown)} for ${text.slice(0, 100)}`).toBe(true)
        }
      }
      const frames = [
        'HERE',
        '{"id":1,"result":HERE}',
        '{"id":1,"result":{"type":"data","data":HERE}}',
        '{"id":1,"error":HERE}',
        '{"id":HERE,"result":{"type":"started"}}',
        '[HERE]',
        '{"id":1,"result":{"type":"data","data":{"json":HERE,"meta":{"values":HERE}}}}',
      ]
      for (const frame of frames) for (const value of [deep, wide]) read(frame.replaceAll('HERE', value))
      fc.assert(
        fc.property(fc.constantFrom(...frames), fc.oneof(fc.json(), fc.string()), (frame, value) =>
          read(frame.replaceAll('HERE', () => value)),
        ),
        { numRuns: 300 },
      )
    },
  )
})

test('connection params of any kind are text by name, or refused', () => {
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc.json().map(json => `{"method":"connectionParams","data":${json}}`),
  )
  fc.assert(
    fc.property(fc.oneof(text, fc.uint8Array()), frame => {
      try {
        const params = timed(() => readConnectionParams(jsonEncoder, frame))
        for (const value of Object.values(params ?? {})) expect(typeof value).toBe('string')
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(TRPCError)
      }
    }),
    { numRuns: 1_000 },
  )
})

test('a cursor of any kind is refused before anything is read', async () => {
  const topic = createTopic({ name: 'cursors', event: z.number(), lingerMs: 0 })
  const { id } = await topic.publish('k', 1)
  const [tag = '', epoch = ''] = id.split('.')
  const cursor = fc.oneof(
    fc.string(),
    // Not of another life of the log, which is a gap and not wrong.
    fc
      .tuple(fc.string(), fc.string())
      .filter(([a, b]) => !/^[0-9a-z]{4,32}$/.test(a) || !/^\d+$/.test(b))
      .map(([a, b]) => `${tag}.${a}.${b}`),
    fc.double({ min: 2 }).map(offset => `${tag}.${epoch}.${offset}`),
  )
  await fc.assert(
    fc.asyncProperty(cursor, async after => {
      const error: unknown = await topic
        .subscribe('k', { after })
        .next()
        .catch((thrown: unknown) => thrown)
      expect(isSluiceError(error) && error.code).toBe('CURSOR_INVALID')
    }),
    { numRuns: 500 },
  )
})
