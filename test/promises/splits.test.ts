/** Promise 7: where TCP cuts the bytes of a client is no matter. It is answered as if they had come at once. */
import { inspect } from 'node:util'
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { msgpackCodec } from 'trpc-sluice/codecs/msgpack'
import { protobufCodec } from 'trpc-sluice/codecs/protobuf'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Codec } from '../../shared/codec/codec.ts'
import { frame, framesIn, RawTcp } from '../interop/support/raw-tcp.ts'
import { eventually } from '../kit/deadline.ts'
import { cut, cuts, everywhere } from '../support/fuzz.ts'
import { query, startWithNeighbours } from './support/neighbours.ts'

type App = Awaited<ReturnType<typeof startWithNeighbours>>

const msgpack = msgpackCodec()
const protobuf = protobufCodec()

let app: App
beforeAll(async () => {
  app = await startWithNeighbours({
    allowMethodOverride: true,
    codecs: [msgpack, protobuf],
    compression: { thresholdBytes: 64 },
  })
})
afterAll(() => app[Symbol.asyncDispose]())

/** Twice at random, so that one failure shows two places. */
const places = fc.array(fc.oneof({ weight: 6, arbitrary: cuts }, { weight: 1, arbitrary: everywhere }), {
  minLength: 2,
  maxLength: 2,
})

/** Each piece has a turn of the event loop, the server's and ours, for itself. */
async function writePieces(tcp: RawTcp, bytes: Uint8Array, at: readonly number[]): Promise<void> {
  for (const piece of cut(bytes, at)) {
    tcp.write(piece)
    await new Promise(resolve => setImmediate(resolve))
  }
}

describe('over a WebSocket', () => {
  /** Something that is said, and how many messages are the answer. */
  interface Said {
    readonly message: object | null
    readonly answers: number
  }

  const text = fc.string({ unit: 'grapheme' })
  const value = fc.oneof(text, fc.jsonValue(), fc.constant('ü🎉'.repeat(40)))
  const said: fc.Arbitrary<Said> = fc.oneof(
    value.map(input => ({ message: query(0, input), answers: 1 })),
    fc.array(value, { maxLength: 4 }).map(input => ({
      message: { id: 0, method: 'subscription', params: { path: 'each', input } },
      answers: 2 + input.length,
    })),
    text.map(path => ({ message: query(0, null, `nobody-${path}`), answers: 1 })),
    fc.constant({ message: null, answers: 1 }),
  )

  /** How it goes over the wire: in fragments, and with pings between them. */
  interface Sent extends Said {
    readonly fragments: readonly number[]
    readonly pings: boolean
    readonly mask: Uint8Array
  }
  const sent: fc.Arbitrary<Sent> = fc
    .tuple(
      said,
      fc.record({
        fragments: fc.array(fc.nat(), { maxLength: 3 }),
        pings: fc.boolean(),
        mask: fc.uint8Array({ minLength: 4, maxLength: 4 }),
      }),
    )
    .map(parts => Object.assign({}, ...parts) as Sent)

  /** How messages are written, and read. */
  interface Way {
    readonly path: string
    readonly headers: readonly string[]
    readonly firstByte: number
    /** Null is something that is no message. */
    encode(message: object | null): Uint8Array
    decode(payload: Buffer): unknown[]
  }

  const nonsense = '{"id":1,"method":"nonsense"'
  const json = (message: object | null) => Buffer.from(message ? JSON.stringify(message) : nonsense)
  const byJson = (payload: Buffer): unknown[] => {
    if (payload.toString() === 'PONG') return ['PONG']
    return [JSON.parse(payload.toString())].flat() as unknown[]
  }
  const byCodec = (codec: Codec): Way => ({
    path: `/?sluice=1&codec=${codec.name}`,
    headers: [],
    firstByte: 0x02,
    encode: message => (message ? Buffer.from(codec.formatFor().encode(message)) : Buffer.of(0xc1)),
    decode: payload => codec.decode(payload),
  })
  const ways: Record<string, Way> = {
    text: { path: '/', headers: [], firstByte: 0x01, encode: json, decode: byJson },
    'text with extensions': {
      path: '/?sluice=1',
      headers: [],
      firstByte: 0x01,
      encode: json,
      decode: byJson,
    },
    'deflated text': {
      path: '/',
      headers: ['Sec-WebSocket-Extensions: permessage-deflate'],
      firstByte: 0x41,
      encode: message =>
        deflateRawSync(json(message), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4),
      decode: byJson,
    },
    MessagePack: byCodec(msgpack),
    Protobuf: byCodec(protobuf),
  }

  function toBytes(sent: readonly Sent[], { firstByte, encode }: Way): Buffer {
    const frames = sent.flatMap(({ message, fragments, pings, mask }, id) => {
      const pieces = cut(encode(message && { ...message, id }), fragments)
      return pieces.flatMap((piece, i) => {
        const final = i === pieces.length - 1 ? 0x80 : 0
        const fragment = frame(final | (i === 0 ? firstByte : 0), piece, mask)
        return pings ? [fragment, frame(0x89, `${id}.${i}`, mask)] : [fragment]
      })
    })
    return Buffer.concat(frames)
  }

  /** All that was heard, in an order that does not depend on which of several answers was ready first. */
  function heard(tcp: RawTcp, { decode }: Way): string[] {
    return framesIn(tcp.received)
      .flatMap(({ firstByte, payload }): unknown[] => {
        if ((firstByte & 0x0f) > 2) return [`control frame ${firstByte}: ${payload.toString('hex')}`]
        if (!(firstByte & 0x40)) return decode(payload)
        const whole = Buffer.concat([payload, Buffer.of(0, 0, 0xff, 0xff)])
        return decode(inflateRawSync(whole, { finishFlush: constants.Z_SYNC_FLUSH }))
      })
      .map(message => inspect(message, { depth: Infinity, maxStringLength: null, maxArrayLength: null }))
      .toSorted()
  }

  async function converse(way: Way, sent: readonly Sent[], at: readonly number[]): Promise<string[]> {
    const bytes = toBytes(sent, way)
    const due = sent.reduce((sum, { answers, pings, fragments, message }) => {
      const pieces = cut(way.encode(message && { ...message, id: 0 }), fragments).length
      return sum + answers + (pings ? pieces : 0)
    }, 0)
    using tcp = await RawTcp.upgrade(app.port, way.path, ...way.headers)
    await writePieces(tcp, bytes, at)
    await eventually(() => heard(tcp, way).length >= due, {
      what: () => `${due} of ${heard(tcp, way).join()}`,
    })
    tcp.write(frame(0x88, Buffer.of(0x03, 0xe8)))
    await tcp.closed
    return heard(tcp, way)
  }

  test.each(Object.entries(ways))('%s', async (_, way) => {
    await fc.assert(
      fc.asyncProperty(fc.array(sent, { minLength: 1, maxLength: 8 }), places, async (sent, places) => {
        const [atOnce, ...inPieces] = await Promise.all([[], ...places].map(at => converse(way, sent, at)))
        for (const answers of inPieces) expect(answers).toEqual(atOnce)
      }),
      { numRuns: 12 },
    )
  })
})

describe('over HTTP', () => {
  const value = fc.oneof(fc.string({ unit: 'grapheme' }), fc.jsonValue(), fc.constant('ü🎉'.repeat(40)))
  const each = (input: unknown, id: number) => ({
    id,
    method: 'subscription',
    params: { path: 'each', input },
  })
  /** Bodies by the path that they are posted to. */
  const bodies: Record<string, fc.Arbitrary<unknown>> = {
    '/save': value,
    '/save,save?batch=1': fc.record({ 0: value, 1: value }),
    '/each': fc.array(value),
    '/:stream?sluice=1': fc
      .array(fc.oneof(fc.array(value), value), { maxLength: 4 })
      .map(inputs => ({ subscriptions: inputs.map(each), connectionParams: { who: 'é' } })),
  }
  /** One in some is cut short: what it is refused with is the same as well. */
  const asText = (body: fc.Arbitrary<unknown>) =>
    fc
      .tuple(body, fc.integer({ min: 0, max: 7 }))
      .map(([body, gone]) => JSON.stringify(body).slice(0, gone === 7 ? -1 : undefined))

  async function post(path: string, body: string, chunks: readonly number[], at: readonly number[]) {
    using tcp = await RawTcp.open(app.port)
    const head = [
      `POST ${path} HTTP/1.1`,
      'Host: localhost',
      'Connection: close',
      'Content-Type: application/json',
      'Transfer-Encoding: chunked',
    ]
    const chunked = cut(Buffer.from(body), chunks)
      .filter(({ length }) => length > 0) // an empty chunk is the last one
      .map(chunk =>
        Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]),
      )
    await writePieces(
      tcp,
      Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), ...chunked, Buffer.from('0\r\n\r\n')]),
      at,
    )
    // A stream's head says that its connection is kept, whatever was asked for.
    let closed = false
    void tcp.closed.then(() => (closed = true))
    await eventually(() => closed || tcp.received.includes('\r\n0\r\n\r\n'), { what: 'the whole response' })
    return readResponse(tcp.received)
  }

  /** Without its date, and in whatever chunks it has come. */
  function readResponse(bytes: Buffer): { readonly head: string; readonly body: string } {
    const end = bytes.indexOf('\r\n\r\n') + 4
    const head = bytes
      .subarray(0, end)
      .toString('latin1')
      .replace(/^date: .*\r\n/im, '')
    if (!/^transfer-encoding: chunked/im.test(head)) return { head, body: bytes.subarray(end).toString() }
    const chunks = []
    for (let at = end; at < bytes.length;) {
      const from = bytes.indexOf('\r\n', at) + 2
      const length = Number.parseInt(bytes.subarray(at, from).toString(), 16)
      chunks.push(bytes.subarray(from, from + length))
      at = from + length + 2
    }
    return { head, body: Buffer.concat(chunks).toString() }
  }

  test.each(Object.entries(bodies))('the body of a POST to %s', async (path, body) => {
    await fc.assert(
      fc.asyncProperty(asText(body), cuts, places, async (body, chunks, places) => {
        const [atOnce, ...inPieces] = await Promise.all([
          post(path, body, [], []),
          ...places.map(at => post(path, body, chunks, at)),
        ])
        expect(atOnce?.head).toMatch(/^HTTP\/1.1 [24]/)
        for (const answer of inPieces) expect(answer).toEqual(atOnce)
      }),
      { numRuns: 12 },
    )
  })

  test.each(Object.entries(bodies))('the body of a request to sluice.fetch, to %s', async (path, body) => {
    const fetched = async (text: string, at: readonly number[]) => {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          for (const piece of cut(Buffer.from(text), at)) controller.enqueue(piece)
          controller.close()
        },
      })
      const response = await app.sluice.fetch(
        new Request(app.url + path, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
          duplex: 'half',
        } as RequestInit), // whose type in the DOM knows no `duplex`
      )
      return { status: response.status, text: await response.text() }
    }
    await fc.assert(
      fc.asyncProperty(asText(body), fc.oneof(cuts, everywhere), async (body, at) => {
        expect(await fetched(body, at)).toEqual(await fetched(body, []))
      }),
      { numRuns: 12 },
    )
  })
})
