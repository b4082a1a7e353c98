/** Promise 7 for binary frames: what was made to harm is refused in a typed way and counted, and neighbours see nothing. */
import { describe, expect, test } from 'vitest'
import { msgpackCodec } from 'trpc-sluice/codecs/msgpack'
import { protobufCodec } from 'trpc-sluice/codecs/protobuf'
import type { Codec } from 'trpc-sluice/server'
import { RawWebSocket } from '../interop/support/raw-websocket.ts'
import { query, startWithNeighbours } from './support/neighbours.ts'

const msgpack = msgpackCodec()
const protobuf = protobufCodec()

type App = Awaited<ReturnType<typeof startWithNeighbours>>
const start = () => startWithNeighbours({ codecs: [msgpack, protobuf] })
const open = async ({ url }: App, codec: Codec) => {
  const socket = await RawWebSocket.open(`${url}/?sluice=1&codec=${codec.name}`)
  await socket.count(1)
  expect(socket.frames.splice(0)).toEqual(['binary:']) // by which the server says that it has the codec
  return socket
}

/** The message in a frame as it was received. */
function read(codec: Codec, frame = ''): unknown {
  const [message] = codec.decode(Buffer.from(frame.replace('binary:', ''), 'hex'))
  return message
}

const refused = (code: string) => ({ id: null, error: { data: { sluice: { code } } } })

const asked = (codec: Codec, input: unknown, id: number | string = 1) =>
  Buffer.from(codec.formatFor().encode({ id, method: 'query', params: { path: 'echo', input } }))
const nested = (levels: number) => {
  let value: unknown = 'bottom'
  for (let level = 0; level < levels; level++) value = [value]
  return value
}
const many = (count: number, ...bytes: number[]) => Buffer.alloc(count * bytes.length, Buffer.from(bytes))
/** A message of MessagePack with this for its input. */
const inMessage = (...bytes: number[]) => Uint8Array.of(0x81, 0xa5, ...Buffer.from('input'), ...bytes)
const huge = [0xff, 0xff, 0xff, 0xff]

const attacks: readonly (readonly [Codec, string, Uint8Array, string])[] = [
  [msgpack, 'an array of 4,294,967,295', inMessage(0xdd, ...huge, 0xc0), 'MESSAGE_INVALID'],
  [msgpack, 'a map of 4,294,967,295', inMessage(0xdf, ...huge, 0xc0), 'MESSAGE_INVALID'],
  [msgpack, 'a string of 4 GiB', inMessage(0xdb, ...huge, 0x61), 'MESSAGE_INVALID'],
  [msgpack, 'bytes of 4 GiB', inMessage(0xc6, ...huge, 0x00), 'MESSAGE_INVALID'],
  [msgpack, 'an extension of 4 GiB', inMessage(0xc9, ...huge, 0x74), 'MESSAGE_INVALID'],
  [msgpack, 'an extension that nobody knows', inMessage(0xd4, 0x11, 0x00), 'MESSAGE_INVALID'],
  [msgpack, 'a record', inMessage(0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01), 'MESSAGE_INVALID'],
  [
    msgpack,
    'arrays nested a million deep',
    Buffer.concat([inMessage(), many(1_000_000, 0x91)]),
    'INPUT_TOO_DEEP',
  ],
  [
    msgpack,
    'arrays that each announce the rest',
    Buffer.concat([inMessage(), many(200_000, 0xdd, 0, 1, 0, 0)]),
    'INPUT_TOO_DEEP',
  ],
  [msgpack, 'a million messages', many(1_000_000, 0x80), 'BATCH_TOO_LONG'],
  [protobuf, 'a message of 4 GiB', Uint8Array.of(0x0a, ...huge, 0x0f, 0x00), 'MESSAGE_INVALID'],
  [protobuf, 'groups nested a million deep', many(1_000_000, 0x0b), 'MESSAGE_INVALID'],
  [protobuf, 'a number without an end', many(1_000_000, 0xff), 'MESSAGE_INVALID'],
  [
    protobuf,
    'fields that nobody knows, and half a message',
    Buffer.concat([many(100_000, 0x7a, 0x00), many(1, 0x0a)]),
    'MESSAGE_INVALID',
  ],
  [protobuf, 'half a million messages', many(500_000, 0x0a, 0x00), 'MESSAGE_INVALID'],
  [protobuf, 'a thousand and one messages', many(1_001, 0x0a, 0x03, 0x32, 0x01, 0x80), 'BATCH_TOO_LONG'],
  ...[msgpack, protobuf].flatMap(codec => [
    [codec, 'an input that is nested too deep', asked(codec, nested(65)), 'INPUT_TOO_DEEP'] as const,
    [codec, 'an id of 257 characters', asked(codec, 'x', 'x'.repeat(257)), 'MESSAGE_INVALID'] as const,
    [
      codec,
      'a message that is cut short',
      asked(codec, 'cut short').subarray(0, -3),
      'MESSAGE_INVALID',
    ] as const,
  ]),
  [msgpack, 'a message of another codec', asked(protobuf, { a: 1 }), 'MESSAGE_INVALID'],
  [protobuf, 'a message of another codec', asked(msgpack, { a: 1 }), 'MESSAGE_INVALID'],
]

test.each(attacks.map(([codec, what, frame, code]) => [codec.name, what, codec, frame, code] as const))(
  'in %s, %s is refused and counted, and the connection stays in use',
  async (_, _what, codec, frame, code) => {
    await using app = await start()
    await using socket = await open(app, codec)
    socket.send(frame)
    await socket.count(1)
    socket.send(asked(codec, 'still here'))
    const [refusal, answer] = await socket.count(2)
    expect(read(codec, refusal)).toMatchObject(refused(code))
    expect(read(codec, answer)).toEqual({ id: 1, result: { type: 'data', data: 'still here' } })
    expect(app.refusals()).toEqual({ [code]: 1 })
  },
)

describe.each([msgpack, protobuf].map(codec => [codec.name, codec] as const))('%s', (_, codec) => {
  test('names like __proto__, constructor and then pollute nothing and stall nothing', async () => {
    await using app = await start()
    await using socket = await open(app, codec)
    const evil = JSON.parse(
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"then":{"then":1}}',
    )
    socket.send(asked(codec, evil as object))
    const [answer] = await socket.count(1)
    expect(read(codec, answer)).toMatchObject({ id: 1, result: { type: 'data' } })
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    expect(app.refusals()).toEqual({})
  })

  test('an id that is no whole number, or a negative one, has its answer, and harms no connection', async () => {
    await using app = await start()
    await using socket = await open(app, codec)
    for (const [index, id] of [1.5, -1, 2 ** 40].entries()) {
      socket.send(query(id, 'hello'))
      await socket.count(index + 1)
      expect(read(codec, socket.frames.at(-1))).toMatchObject({ result: { type: 'data', data: 'hello' } })
    }
  })

  test('random bytes, a thousand times, leave the server as it was', async () => {
    await using app = await start()
    await using socket = await open(app, codec)
    for (let i = 0; i < 1_000; i++) socket.send(crypto.getRandomValues(new Uint8Array(1 + (i % 200))))
    await socket.settled()
    socket.send(JSON.stringify(query(7, 'as text')))
    await socket.count(socket.frames.length + 1)
    expect(read(codec, socket.frames.at(-1))).toEqual({ id: 7, result: { type: 'data', data: 'as text' } })
    await app.calm()
  })
})
