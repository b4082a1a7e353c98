/** What is made of a stranger's bytes is bounded by a multiple of their number, whatever lengths are written in them. */
import { jsonEncoder } from '@trpc/server/adapters/ws'
import superjson from 'superjson'
import { msgpackCodec } from 'trpc-sluice/codecs/msgpack'
import { protobufCodec } from 'trpc-sluice/codecs/protobuf'
import { describe, expect, test } from 'vitest'
import { decodeBinaryFrame, decodeFrame } from '../../client/transports/decode.ts'
import { createEventParser } from '../../client/transports/event-parser.ts'
import { readConnectionParams } from '../../server/session/hello.ts'
import { PriceSchema } from '../interop/support/price_pb.ts'
import { allocatedBy, createStopwatch } from '../support/cost.ts'
import { deep } from '../support/fuzz.ts'
import { createFrameReader } from './server/frame-reader.ts'

const timed = createStopwatch()
const length = 30_000

/** For what a call costs by itself: its error and that one's stack, code that is compiled on the way. */
const constant = 512 * 1024

/**
 * An empty object has 56 B and one byte of MessagePack, is looked at and copied, and lists are copied as they grow: some
 * 550 in the worst case, and a thousand times more where a length that is written somewhere is believed.
 */
const multiple = 1_024

function expectBounded(decoder: string, input: string | Uint8Array, decode: () => unknown): void {
  const outcome = () => {
    try {
      return timed(decoder, decode)
    } catch (thrown) {
      return thrown
    }
  }
  expect(allocatedBy(outcome)).toBeLessThan(constant + multiple * input.length)
}

const repeated = (text: string) => text.repeat(length / text.length)
const list = (item: string) => `[${repeated(`${item},`)}0]`
const names = (toName: (i: number) => string) =>
  `{${Array.from({ length: length / 10 }, (_, i) => `"${toName(i)}":0`).join()}}`

const values: Record<string, string> = {
  'empty arrays': list('[]'),
  'empty objects': list('{}'),
  'objects of many shapes': `[${Array.from({ length: length / 10 }, (_, i) => `{"a${i}":0}`).join()}]`,
  'names that are indices': names(String),
  'the greatest indices': names(i => String(4_294_967_294 - i)),
  'names that are words': names(i => `a${i}`),
  'one name again and again': `{${repeated('"a":1,')}"a":1}`,
  'deep nesting': deep(length / 2),
  'a number of many digits': repeated('9'),
  'a text of escapes': `"${repeated('\\u0041')}"`,
  'what looks like a giant length': '{"length":4294967295,"byteLength":1e15,"size":1e15}',
}

const none = { deserialize: (value: unknown) => value }
const textDecoders: Record<string, (value: string) => readonly [string, (text: string) => unknown]> = {
  "the server's text frames": value => [
    `{"id":1,"method":"query","params":{"path":"echo","input":${value}}}`,
    createFrameReader(),
  ],
  "the server's text frames, with superjson": value => [
    `{"id":1,"method":"query","params":{"path":"echo","input":{"json":${value},"meta":{"values":["set"]}}}}`,
    createFrameReader({ transformer: superjson }),
  ],
  'connection params': value => [
    `{"method":"connectionParams","data":${value}}`,
    text => readConnectionParams(jsonEncoder, text),
  ],
  "the client's text frames": value => [
    `{"id":1,"result":{"type":"data","data":${value}}}`,
    text => decodeFrame(text, none),
  ],
  "the client's stream of events": value => [
    `event: e\nid: 1\ndata: ${value}\n\n`,
    text => {
      const events: unknown[] = []
      const take = createEventParser(event => events.push(event))
      for (let at = 0; at < text.length; at += 1_000) take(text.slice(at, at + 1_000))
      return events
    },
  ],
}

describe.each(Object.entries(textDecoders))('%s', (decoder, toFrame) => {
  test.each(Object.entries(values))('%s', (_, value) => {
    const [frame, decode] = toFrame(value)
    expectBounded(decoder, frame, () => decode(frame))
  })
})

test.each([
  ['a typed array of 4 GB', '{"json":4000000000,"meta":{"values":[["typed-array","Uint8Array"]]}}'],
  [
    'a typed array of what is long',
    '{"json":{"length":1e7},"meta":{"values":[["typed-array","Uint8Array"]]}}',
  ],
])("what superjson takes for %s, of the server's text frames", (_, input) => {
  const read = createFrameReader({ transformer: superjson })
  const frame = `{"id":1,"method":"query","params":{"path":"echo","input":${input}}}`
  expectBounded("the server's text frames, with superjson", frame, () => read(frame))
  expect(read(frame)).toMatchObject({ refusal: { code: 'BAD_REQUEST' } })
})

/** In MessagePack, so many of these as an input, in one array. */
function many(...item: number[]): Buffer {
  const count = Math.floor(length / item.length)
  const head = Buffer.from([0xdd, 0, 0, 0, 0])
  head.writeUInt32BE(count, 1)
  return inMessage(head, Buffer.alloc(count * item.length, Buffer.from(item)))
}
const inMessage = (...input: Uint8Array[]) =>
  Buffer.concat([Buffer.of(0x81, 0xa5), Buffer.from('input'), ...input])
const giant = (...head: number[]) => inMessage(Buffer.from(head), Buffer.alloc(length, 0xc0))

const frames: Record<string, Uint8Array> = {
  'an array of 4,294,967,295': giant(0xdd, 0xff, 0xff, 0xff, 0xff),
  'an array of 16,777,216': giant(0xdd, 1, 0, 0, 0),
  'a map of 4,294,967,295': giant(0xdf, 0xff, 0xff, 0xff, 0xff),
  'a text of 2 GiB': giant(0xdb, 0x7f, 0xff, 0xff, 0xff),
  'bytes of 2 GiB': giant(0xc6, 0x7f, 0xff, 0xff, 0xff),
  'a typed array of 2 GiB': giant(0xc9, 0x7f, 0xff, 0xff, 0xff, 0x74, 1),
  'arrays that each announce what follows': many(0xdd, 0, 1, 0, 0),
  'empty arrays': many(0x90),
  'empty maps': many(0x80),
  'empty sets': many(0xd4, 0x73, 0, 0x90),
  'empty Maps': many(0xd4, 0x4d, 0, 0x90),
  'empty bytes': many(0xc4, 0),
  'empty typed arrays': many(0xd4, 0x74, 1),
  dates: many(0xd6, 0xff, 0, 0, 0, 1),
  errors: many(0xd4, 0x65, 0, 0x92, 0xa5, ...Buffer.from('Error'), 0xa1, 0x61),
  patterns: many(0xd4, 0x78, 0, 0x92, 0xa1, 0x61, 0xa0),
  'bigints of a kilobyte': many(0xc8, 4, 0, 0x42, ...new Uint8Array(1_024).fill(0x7f)),
  'empty messages': Buffer.alloc(length, 0x80),
  'a message of Protobuf of 4 GiB': Buffer.from([
    0x0a,
    0xff,
    0xff,
    0xff,
    0xff,
    0x0f,
    ...Buffer.alloc(length),
  ]),
  'messages of Protobuf': Buffer.alloc(length, Buffer.of(0x0a, 3, 0x32, 1, 0x80)),
  'members of Protobuf of the least size': price(Buffer.alloc(length, Buffer.of(0x22, 0))),
}

/** In Protobuf, an event with this for a `shop.Price`. */
function price(value: Uint8Array): Uint8Array {
  const field = (number: number, bytes: Uint8Array) => {
    const head = [(number << 3) | 2]
    let rest = bytes.length
    for (; rest > 0x7f; rest >>>= 7) head.push((rest & 0x7f) | 0x80)
    return Buffer.concat([Buffer.from([...head, rest]), bytes])
  }
  const payload = Buffer.concat([field(1, Buffer.from('shop.Price')), field(2, value)])
  return field(1, field(4, Buffer.concat([Buffer.of(0x08, 2), field(2, payload)])))
}

describe.each(
  [msgpackCodec(), protobufCodec({ schemas: { onPrice: { output: PriceSchema } } })].map(
    codec => [codec.name, codec] as const,
  ),
)('frames in %s', (name, codec) => {
  test.each(Object.entries(frames))('%s', (_, frame) => {
    expectBounded(`frames in ${name}`, frame, () => decodeBinaryFrame(frame, codec))
  })
})
