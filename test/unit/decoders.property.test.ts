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
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { decodeFrame } from '../../client/transports/decode.ts'
import { createEventParser, type StreamEvent } from '../../client/transports/event-parser.ts'
import { readConnectionParams } from '../../server/session/hello.ts'
import { isSluiceError } from '../../shared/errors.ts'
import { formatSseControl, formatSseData, sseEvent } from '../../shared/protocol/sse.ts'
import type { StreamBody } from '../../shared/protocol/stream.ts'
import { createStopwatch, sizeOf } from '../support/cost.ts'
import { cut, cuts, everywhere, frameTexts, serverMessages } from '../support/fuzz.ts'

const timed = createStopwatch()

const t = initTRPC.create()
type Router = ReturnType<typeof createRouter>
const createRouter = () =>
  t.router({
    on: t.procedure.subscription(async function* (): AsyncGenerator<unknown> {
      yield* []
    }),
  })

/** The carriers that answer with a stream of events. */
const transports = ['sse', 'stream'] as const

/**
 * Subscribes to a server that says these bytes, in these pieces, and nothing more.
 *
 * @param piecesFor what it says to a subscription of this id.
 */
async function hear(
  transport: (typeof transports)[number],
  piecesFor: (id: unknown) => readonly Uint8Array[],
) {
  const seen: unknown[] = []
  const told: unknown[] = []
  const body = (id: unknown) =>
    new ReadableStream<Uint8Array>({
      start(controller) {
        for (const piece of piecesFor(id)) controller.enqueue(piece)
        controller.close()
      },
    })
  const link = sluiceLink<Router>({
    url: 'http://host/',
    transport,
    clock: createFakeClock(), // so that it does not come back
    fetch: async (_url, init) => {
      const posted = init?.body ? (JSON.parse(String(init.body)) as StreamBody) : null
      return new Response(body(posted?.subscriptions[0]?.id), {
        headers: { 'content-type': 'text/event-stream' },
      })
    },
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

interface SentEvent {
  readonly id: string | undefined
  readonly data: unknown
}

/** How the two carriers say the same events. */
const toText = {
  sse: (events: readonly SentEvent[]) => [
    ...events.map(({ id, data }) => formatSseData(JSON.stringify(data), id)),
    formatSseControl(sseEvent.return, ''),
  ],
  stream: (events: readonly SentEvent[], of: unknown) =>
    [
      { id: of, result: { type: 'started' } },
      ...events.map(({ id, data }) => ({
        id: of,
        result: id === undefined ? { type: 'data', data } : { type: 'data', id, data: { id, data } },
      })),
      { id: of, result: { type: 'stopped' } },
    ].map(message => formatSseData(JSON.stringify(message))),
}

describe.each(transports)('a stream of events (%s)', transport => {
  test('is the same however its bytes are cut, and its lines ended', async () => {
    const event = fc.record({
      id: fc.option(fc.stringMatching(/^[a-zé🎉]{1,5}$/u), { nil: undefined }),
      data: fc.oneof(fc.jsonValue(), fc.string({ unit: 'grapheme' })),
    })
    const lineEnd = fc.constantFrom('\n', '\r\n', '\r')
    await fc.assert(
      fc.asyncProperty(fc.array(event), lineEnd, fc.oneof(cuts, everywhere), async (events, lineEnd, at) => {
        const { seen, told } = await hear(transport, of => {
          const text = [formatSseControl(sseEvent.connected, '{}'), ...toText[transport](events, of)].join('')
          return cut(bytesOf(text.replaceAll('\n', lineEnd)), at)
        })
        const json = events.map(({ data }) => JSON.parse(JSON.stringify(data)) as unknown)
        expect(seen).toEqual(
          json.map((data, i) => (events[i]?.id === undefined ? data : { id: events[i].id, data })),
        )
        expect(told).toEqual([])
      }),
      { numRuns: 150 },
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
    const message = frameTexts(serverMessages).map(text => `data: ${text}\n\n`)
    const piece = fc.oneof(fc.oneof(fragment, message).map(bytesOf), fc.uint8Array({ maxLength: 40 }))
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async pieces => {
        const { seen, told } = await hear(transport, () => pieces)
        const size = pieces.reduce((sum, { length }) => sum + length, 0)
        expect(sizeOf(seen)).toBeLessThanOrEqual(8 * size + 100)
        for (const error of told) expect(error).toBeInstanceOf(Error)
      }),
      { numRuns: 200 },
    )
  })
})

test('the parser of a stream reads the same events wherever the bytes of its text are cut', () => {
  const line = fc
    .tuple(
      fc.constantFrom('data:', 'data: ', 'id:', 'event: ', ':', ''),
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('\n', '\r\n', '\r', '\n\n', '\r\n\r\n', '\r\r'),
    )
    .map(parts => parts.join(''))
  const parse = (pieces: readonly Uint8Array[]) => {
    const events: StreamEvent[] = []
    const take = createEventParser(event => events.push(event))
    const decoder = new TextDecoder()
    for (const piece of pieces)
      timed('the parser of streams', () => take(decoder.decode(piece, { stream: true })))
    return events
  }
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), fc.oneof(cuts, everywhere), (lines, at) => {
      const bytes = bytesOf(lines.join(''))
      expect(parse(cut(bytes, at))).toEqual(parse([bytes]))
    }),
    { numRuns: 500 },
  )
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
    (name, transformer) => {
      const read = (text: string) => {
        try {
          timed(`the client's text frames (transformer: ${name})`, () => decodeFrame(text, transformer))
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
      fc.assert(fc.property(frameTexts(serverMessages), read), { numRuns: 1_000 })
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
        const params = timed('connection params', () => readConnectionParams(jsonEncoder, frame))
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
