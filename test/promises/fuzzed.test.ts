/**
 * Promise 7: whatever a stranger sends, through every way in, is answered in the typed way, or its connection is closed.
 * Nothing is thrown past the API, nothing hangs, and two neighbours on the same server notice nothing.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import fc from 'fast-check'
import superjson from 'superjson'
import { msgpackCodec } from 'trpc-sluice/codecs/msgpack'
import { protobufCodec } from 'trpc-sluice/codecs/protobuf'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Codec, Message } from '../../shared/codec/codec.ts'
import { eventually } from '../kit/deadline.ts'
import { RawResponse } from '../interop/support/raw-http.ts'
import { messagesIn } from '../interop/support/raw-stream.ts'
import { RawWebSocket } from '../interop/support/raw-websocket.ts'
import { almost, almostBytes, anyText, clientMessages, frameTexts, marred } from '../support/fuzz.ts'
import { createRouter, post, startWithNeighbours } from './support/neighbours.ts'

const msgpack = msgpackCodec()
const protobuf = protobufCodec()
const codecs = [msgpack, protobuf]
const messages = clientMessages(['echo', 'save', 'each', 'quiet', 'params'])

/** What should never be: errors that are our own, and those that nobody has caught. */
const bugs: unknown[] = []
const bug = (thrown: unknown) => bugs.push(thrown)
beforeAll(() => void process.on('uncaughtException', bug).on('unhandledRejection', bug))
afterAll(() => void process.off('uncaughtException', bug).off('unhandledRejection', bug))
afterEach(() => expect(bugs.splice(0)).toEqual([]))

const delay = monitorEventLoopDelay({ resolution: 1 })
beforeEach(() => {
  delay.reset()
  delay.enable()
})
afterEach(({ task }) => {
  delay.disable()
  console.info(`${task.name}: the event loop stood still for ${(delay.max / 1e6).toFixed(0)} ms at the most`)
})

const start = (transformer?: typeof superjson) =>
  startWithNeighbours({
    router: createRouter(transformer && { transformer }),
    codecs,
    allowMethodOverride: true,
    onError({ error }) {
      if (error.code === 'INTERNAL_SERVER_ERROR') bug(error)
    },
  })

/** An error as a client of tRPC's knows it, of a stranger's doing. */
const refusal = {
  code: expect.any(Number),
  message: expect.any(String),
  data: expect.objectContaining({
    code: expect.stringMatching(
      /^(BAD_REQUEST|PARSE_ERROR|NOT_FOUND|METHOD_NOT_SUPPORTED|UNPROCESSABLE_CONTENT|PAYLOAD_TOO_LARGE|UNSUPPORTED_MEDIA_TYPE)$/,
    ),
  }),
}

/** What a server may say: an answer, a refusal, or that it is alive. */
function expectTyped(message: unknown): void {
  if (message === 'PONG') return
  const { id, result, error } = message as { id: unknown; result?: { type: unknown }; error?: unknown }
  expect(id === null || ['number', 'string'].includes(typeof id)).toBe(true)
  if (error !== undefined) expect(unwrapped(error)).toMatchObject(refusal)
  else expect(['started', 'data', 'stopped', 'lag']).toContain(result?.type)
}

/** As superjson has it, or as it is. */
const unwrapped = (value: unknown) =>
  typeof value === 'object' && value !== null && 'json' in value ? value.json : value

const isOf = (message: unknown, id: unknown) =>
  typeof message === 'object' && message !== null && 'id' in message && message.id === id

describe('a WebSocket', () => {
  const asText = frameTexts(messages).map(text => ({ frame: text, isSaid: isJson(text) }))

  /** Of valid messages, and of bytes that are almost such. */
  function asBytes(codec: Codec) {
    const { encode } = codec.formatFor()
    const frame = fc
      .array(messages, { minLength: 1, maxLength: 3 })
      .map(all => codec.join(all.map(message => Buffer.from(encode(message as Message)))))
    return fc.oneof(frame, almostBytes(frame)).map(frame => ({ frame, isSaid: true }))
  }

  function isJson(text: string): boolean {
    try {
      JSON.parse(text)
      return true
    } catch {
      return false // which is what was asked
    }
  }

  const byJson = (frame: string) => (frame === 'PONG' ? [frame] : [JSON.parse(frame) as unknown].flat())
  const byCodec = (codec: Codec) => (frame: string) =>
    frame.startsWith('binary:') ? codec.decode(Buffer.from(frame.slice(7), 'hex')) : byJson(frame)

  test.each([
    ['text', '', undefined, asText, byJson],
    ['text and extensions', '?sluice=1', undefined, asText, byJson],
    ['text and superjson', '?sluice=1', superjson, asText, byJson],
    ...codecs.map(codec => {
      const path = `?sluice=1&codec=${codec.name}`
      return [codec.name, path, undefined, fc.oneof(asBytes(codec), asText), byCodec(codec)] as const
    }),
  ] as const)('with %s', async (_, path, transformer, frame, decode) => {
    await using app = await start(transformer)
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 30 }), async frames => {
        await using socket = await RawWebSocket.open(app.url + path)
        for (const { frame } of frames) socket.send(frame)
        socket.send({ id: 'the last', method: 'query', params: { path: 'echo', input: { json: 1 } } })
        let closed = false
        void socket.closed.then(() => (closed = true))
        const isAnswered = () => socket.frames.flatMap(decode).some(message => isOf(message, 'the last'))
        await eventually(() => closed || isAnswered(), { what: 'an answer to what was said last' })
        const heard = socket.frames.flatMap(decode)
        heard.forEach(expectTyped)
        // What cannot be told apart from other requests is answered to nobody in particular.
        const unread = frames.filter(({ isSaid, frame }) => !isSaid && frame !== 'PING' && frame !== 'PONG')
        const toNobody = heard.filter(message => isOf(message, null))
        if (!closed) expect(toNobody.length).toBeGreaterThanOrEqual(unread.length)
      }),
      { numRuns: 20 },
    )
    await app.calm()
  })
})

/** What a response says that is no stream. */
function expectRefused({ text, status }: RawResponse): void {
  expect(status).toBeGreaterThanOrEqual(400)
  expect(status).toBeLessThan(500)
  for (const { error } of answersIn(text)) expect(error).toMatchObject(refusal)
}

/** One, or those of a batch: a list even of one. */
function answersIn(text: string): readonly { readonly error?: unknown }[] {
  return [JSON.parse(text) as { error?: unknown } | { error?: unknown }[]].flat()
}

const params = almost(fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }))
const isStream = ({ headers }: RawResponse) => headers['content-type'] === 'text/event-stream'

describe('the stream carrier', () => {
  const good = '{"id":"good","method":"subscription","params":{"path":"each","input":["a good one"]}}'
  const list = fc
    .tuple(
      fc.array(almost(messages), { maxLength: 8 }),
      params,
      fc.constantFrom('', ',"holdMs":0', ',"holdMs":9'),
    )
    .map(([asked, params, hold]) => ({
      body: `{"subscriptions":[${[...asked, good].join()}],"connectionParams":${params}${hold}}`,
      polls: hold !== '',
    }))
  const marredList = marred(list.map(({ body }) => body))
  const bytes = almostBytes(list.map(({ body }) => Buffer.from(body)))

  const said = ({ text }: RawResponse) => messagesIn(text.slice(0, text.lastIndexOf('\n\n\n') + 1))

  test('with lists that are almost right costs only what is wrong, or refuses the whole', async () => {
    await using app = await start()
    let served = 0
    await fc.assert(
      fc.asyncProperty(list, async ({ body, polls }) => {
        await using response = await RawResponse.open(`${app.url}/:stream?sluice=1`, { ...post, body })
        if (!isStream(response)) {
          await response.ended
          return expectRefused(response)
        }
        served += 1
        await Promise.race([response.ended, polls ? null : response.until('"a good one"')])
        said(response)
          .filter(message => message !== 'connected')
          .forEach(expectTyped)
      }),
      { numRuns: 40 },
    )
    expect(served).toBeGreaterThan(5)
    await app.calm()
  })

  test('with bodies of any kind answers, or refuses', async () => {
    await using app = await start()
    await fc.assert(
      fc.asyncProperty(fc.oneof(marredList, bytes, anyText), async body => {
        await using response = await RawResponse.open(`${app.url}/:stream?sluice=1`, { ...post, body })
        if (isStream(response)) return await response.until('event: connected')
        await response.ended
        expectRefused(response)
      }),
      { numRuns: 40 },
    )
    await app.calm()
  })
})

test('URLs with inputs, connection params and cursors of any kind are answered, or refused', async () => {
  await using app = await start()
  const value = fc
    .oneof(params, anyText, marred(params))
    .filter(({ length }) => length < 1_000) // Node itself refuses URLs of more than 16 KiB
    .map(text => Buffer.from(text))
  const encode = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex').replace(/../g, '%$&')
  const encoded = fc.oneof(value, fc.uint8Array({ maxLength: 20 })).map(encode)
  // A path that is no UTF-8 is answered by tRPC's own adapter, to which that is its own failure.
  const path = fc.oneof(
    fc.constantFrom('each', 'quiet', 'echo', 'params', 'nobody', '__proto__'),
    value.map(encode),
  )
  const search = fc.record(
    { input: encoded, connectionParams: encoded, lastEventId: encoded, sluice: encoded, batch: encoded },
    { requiredKeys: [] },
  )
  await fc.assert(
    fc.asyncProperty(path, search, async (path, search) => {
      const query = Object.entries(search).map(part => part.join('='))
      await using response = await RawResponse.open(`${app.url}/${path}?${query.join('&')}`)
      if (isStream(response)) {
        const first = () => /^event: (connected|serialized-error)\ndata: (.*)\n\n/.exec(response.text)
        const [, event, data = ''] = (await eventually(first, { what: 'the first event' })) ?? []
        if (event === 'serialized-error') expect(JSON.parse(data)).toMatchObject(refusal)
        return
      }
      await response.ended
      if (response.status === 200) expect(answersIn(response.text)[0]).toHaveProperty('result')
      else if (response.status !== 207) expectRefused(response) // 207: some of a batch are refused
    }),
    { numRuns: 100, examples: [['', { batch: '%31' }]] },
  )
  await app.calm()
})
