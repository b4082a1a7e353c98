import { expect, test } from 'vitest'
import { msgpackCodec } from '../../../shared/codec/msgpack.ts'
import { refusalOf } from './refusal.ts'

const codec = msgpackCodec()
const { encode } = codec.formatFor()

/** A message with this for its input. */
const message = (input: Uint8Array) => Buffer.concat([Buffer.of(0x81, 0xa5), Buffer.from('input'), input])

const nested = (levels: number, ...level: number[]) =>
  Buffer.concat([Buffer.alloc(level.length * levels, Buffer.from(level)), Buffer.of(0xc0)])

test.each([
  ['array', Buffer.of(0xdd), 4],
  ['map', Buffer.of(0xdf), 4],
  ['string', Buffer.of(0xdb), 4],
  ['bytes', Buffer.of(0xc6), 4],
  ['extension', Buffer.of(0xc9), 4],
  ['small array', Buffer.of(0xdc), 2],
  ['small map', Buffer.of(0xde), 2],
])('of a giant length, a %s is refused before anything is allocated for it', (_, token, width) => {
  const announced = Buffer.concat([token, Buffer.alloc(width, 0xff), Buffer.of(0x73, 0xc0)])
  // What msgpackr by itself takes 133 MB for.
  const sixteenMillion = Buffer.concat([
    token,
    Buffer.of(1, 0, 0, 0).subarray(0, width),
    Buffer.of(0x73, 0xc0),
  ])
  const before = process.memoryUsage().heapUsed
  let most = 0
  for (let round = 0; round < 100; round++) {
    expect(refusalOf(codec, message(announced))).toBe('MESSAGE_INVALID')
    expect(refusalOf(codec, message(sixteenMillion))).toBe('MESSAGE_INVALID')
    most = Math.max(most, process.memoryUsage().heapUsed - before)
  }
  expect(most).toBeLessThan(50e6)
})

test.each([
  ['arrays', [0x91]],
  ['maps', [0x81, 0xa1, 0x61]],
  ['sets', [0xd4, 0x73, 0x00]],
  ['arrays that announce all that follows', [0xdd, 0, 0, 0x10, 0]],
])('nested %s are refused beyond the limit, however deep', (_, level) => {
  expect(refusalOf(codec, message(nested(100_000, ...level)), 64)).toBe('INPUT_TOO_DEEP')
})

test('what is nested as deep as the limit allows passes, and one level more does not', () => {
  const query = (levels: number) => {
    let input: unknown = 1
    for (let level = 0; level < levels; level++) input = level % 2 ? { input } : [input]
    return Buffer.from(encode({ id: 1, method: 'query', params: { path: 'echo', input } }))
  }
  expect(refusalOf(codec, query(64), 64)).toBeNull()
  expect(refusalOf(codec, query(65), 64)).toBe('INPUT_TOO_DEEP')
  // Without a limit there is one all the same: decoders recurse.
  expect(refusalOf(codec, query(500))).toBeNull()
  expect(refusalOf(codec, query(501), Number.MAX_SAFE_INTEGER)).toBe('INPUT_TOO_DEEP')
})

test.each([
  ['a record, from which msgpackr makes code', [0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01]],
  ['a reference', [0xd6, 0x70, 0, 0, 0, 1]],
  ['an id to be referred to', [0xd6, 0x69, 0, 0, 0, 1, 0x90]],
  ['bundled strings', [0xd6, 0x62, 0, 0, 0, 1, 0xc1]],
  ['an unknown extension', [0xd4, 0x01, 0x00]],
  ['a bigint of a megabyte', [0xc9, 0, 0x10, 0, 0, 0x42, ...new Uint8Array(1 << 20)]],
  ['a byte that begins nothing', [0xc1]],
  ['a set of no array', [0xd4, 0x73, 0x00, 0x01]],
  ['a map of no entries', [0xd4, 0x4d, 0x00, 0x91, 0x01]],
  ['a pattern that is none', [0xd4, 0x78, 0x00, 0x92, 0xa1, 0x28, 0xa0]],
  ['an error of no class', [0xd4, 0x65, 0x00, 0x91, 0xa9, ...Buffer.from('__proto__')]],
])('%s is refused', (_, bytes) => {
  expect(refusalOf(codec, message(Buffer.from(bytes)))).toBe('MESSAGE_INVALID')
})

test('what is no map is no message', () => {
  for (const bytes of [[0xc0], [0x01], [0x90], [0xa0], [0xd4, 0x4d, 0x00, 0x90]]) {
    expect(refusalOf(codec, Uint8Array.from(bytes))).toBe('MESSAGE_INVALID')
  }
  expect(refusalOf(codec, Uint8Array.of(0x80))).toBeNull()
})

test('hostile names are names', () => {
  const [message] = codec.decode(
    encode(JSON.parse('{"__proto__":{"x":1},"constructor":1,"then":2}') as object),
  )
  expect(Object.getPrototypeOf(message)).toBe(Object.prototype)
  expect(Object.entries(message as object)).toEqual([
    ['__proto_', { x: 1 }],
    ['constructor', 1],
    ['then', 2],
  ])
  expect(({} as { x?: number }).x).toBeUndefined()
})

test('an error that is decoded has no stack of ours; those that we throw have', () => {
  const [decoded] = codec.decode(encode({ id: 1, error: new RangeError('too far') })) as [{ error: Error }]
  expect(decoded.error).toBeInstanceOf(RangeError)
  expect(decoded.error.message).toBe('too far')
  expect(decoded.error.stack ?? '').not.toContain('\n')
  const notAPattern = Buffer.from([0xd4, 0x78, 0x00, 0x92, 0xa1, 0x28, 0xa0])
  expect(refusalOf(codec, message(notAPattern))).toBe('MESSAGE_INVALID')
  expect(new Error('here').stack).toContain('msgpack.test.ts')
})
