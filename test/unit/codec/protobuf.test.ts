import { create, toBinary } from '@bufbuild/protobuf'
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { concat } from '../../../shared/codec/codec.ts'
import { file_envelope, FrameSchema } from '../../../shared/codec/envelope_pb.ts'
import { protobufCodec, type PayloadSchemas } from '../../../shared/codec/protobuf.ts'
import { LevelSchema, PriceSchema, WatchSchema } from '../../interop/support/price_pb.ts'
import { refusalOf } from './refusal.ts'

const schemas = {
  'shop.onPrice': { output: PriceSchema },
  'shop.quote': { input: WatchSchema, output: PriceSchema },
}
const codec = protobufCodec({ schemas })
const price = { symbol: 'ACME', price: 1.5, chart: new Uint8Array([1, 2]), bids: [{ price: 1, size: 2 }] }

test('what has a schema is a message of that schema, without a name for its members', () => {
  const { encode } = codec.formatFor('shop.onPrice')
  const frame = encode({ id: 1, result: { type: 'data', data: price } })
  expect(codec.decode(frame)).toMatchObject([
    { id: 1, result: { data: { $typeName: 'shop.Price', ...price, bids: [{ price: 1, size: 2 }] } } },
  ])
  expect(Buffer.from(frame).toString('latin1')).not.toContain('symbol')
  const bytes = Buffer.from(toBinary(PriceSchema, create(PriceSchema, price)))
  expect(Buffer.from(frame).includes(bytes)).toBe(true)
})

test('an input that has a schema is read by it', () => {
  const params = { path: 'shop.quote', input: { symbol: 'ACME', since: 2n ** 60n } }
  const frame = codec.formatFor('shop.quote').encode({ id: 1, method: 'query', params })
  expect(codec.decode(frame)).toMatchObject([{ id: 1, method: 'query', params }])
})

test('gaps, errors and values of other procedures need no schema', () => {
  const { encode } = codec.formatFor('shop.onPrice')
  const gap = { id: 1, result: { type: 'data', data: { $sluice: 'gap', reason: 'trimmed' } } }
  expect(codec.decode(encode(gap))).toEqual([gap])
  const error = { id: 1, error: { code: -32_600, message: 'no', data: { at: new Date(0) } } }
  expect(codec.decode(encode(error))).toEqual([error])
  const other = { id: 1, result: { type: 'data', data: new Map([[1, 2]]) } }
  expect(codec.decode(codec.formatFor('elsewhere').encode(other))).toEqual([other])
})

test.each([
  [{ symbol: 'ACME', prize: 1 }, 'member "prize" is no shop.Price'],
  [{ symbol: 'ACME', constructor: 1 }, 'member "constructor" is no shop.Price'],
  [7, '"7" is no shop.Price'],
  [null, '"null" is no shop.Price'],
])('a value that the schema would lose is refused: %j', (data, message) => {
  const { encode } = codec.formatFor('shop.onPrice')
  expect(() => encode({ id: 1, result: { type: 'data', data } })).toThrow(message)
})

test('peers agree on the codec only where they agree on the schemas', () => {
  const { 'shop.onPrice': onPrice, 'shop.quote': quote } = schemas
  expect(protobufCodec().name).toBe('protobuf')
  expect(protobufCodec({ schemas: { 'shop.quote': quote, 'shop.onPrice': onPrice } }).name).toBe(codec.name)
  const others: Record<string, PayloadSchemas>[] = [
    {},
    { 'shop.onPrice': onPrice },
    { 'shop.onPrice': quote },
    { ...schemas, 'shop.quote': onPrice },
  ]
  const names = others.map(schemas => protobufCodec({ schemas }).name)
  expect(new Set([...names, codec.name]).size).toBe(5)
})

const field = (number: number, bytes: Uint8Array) =>
  concat([Uint8Array.of((number << 3) | 2, bytes.length), bytes])
/** A frame of one message that has these bytes for its input. */
const withPayload = (payload: Uint8Array) => field(1, field(3, field(3, payload)))

test.each([
  ['a giant length', Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1)],
  ['a length of 64 bits', Uint8Array.of(0x0a, ...new Uint8Array(9).fill(0xff), 1)],
  ['a number that never ends', new Uint8Array(1_000).fill(0xff)],
  ['groups nested 100,000 deep', new Uint8Array(100_000).fill(0x0b)],
  ['a group in a message that is not closed', field(1, Uint8Array.from([0x3b, 0x3b]))],
  ['a group that is not closed', Uint8Array.of(0x13)],
  ['a message in a group', Uint8Array.of(0x0b, 0x0c, 0x0a)],
  ['a message that says nothing', field(1, new Uint8Array())],
  ['a call of no method', withPayload(new Uint8Array())],
  ['a type that nobody knows', withPayload(field(1, Buffer.from('shop.Unheard')))],
  [
    'a payload that is no message of its type',
    withPayload(concat([field(1, Buffer.from('shop.Watch')), field(2, Uint8Array.of(0x0a, 0xff))])),
  ],
])('%s is refused', (_, frame) => {
  expect(refusalOf(codec, frame)).toBe('MESSAGE_INVALID')
})

test('messages of the application are refused where they are nested too deep', () => {
  let level = create(LevelSchema, { size: 1 })
  for (let depth = 0; depth < 200; depth++) level = create(LevelSchema, { next: level })
  const data = create(PriceSchema, { bids: [level] })
  const frame = codec.formatFor('shop.onPrice').encode({ id: 1, result: { type: 'data', data } })
  expect(refusalOf(codec, frame, 64)).toBe('MESSAGE_INVALID')
  expect(refusalOf(codec, frame)).toBeNull()
})

test('fields of a later version are left out, and of a field that comes twice the last is taken', () => {
  const frame = codec.formatFor().encode({ id: 1, method: 'subscription.stop' })
  const message = frame.subarray(2)
  const later = field(1, concat([field(15, Buffer.from('later')), message, Uint8Array.of(0x08, 0x02)]))
  expect(codec.decode(later)).toEqual([{ id: 2, method: 'subscription.stop' }])
})

test('envelope.proto says what envelope_pb.ts does', async () => {
  const proto = await readFile(new URL('../../../shared/codec/envelope.proto', import.meta.url), 'utf8')
  const said = [...proto.matchAll(/^\s+(?:optional |repeated )?\w+ (\w+) = (\d+);/gm)].map(
    ([, name, number]) => `${name} ${number}`,
  )
  const done = file_envelope.messages.flatMap(({ fields }) =>
    fields.map(({ name, number }) => `${name} ${number}`),
  )
  expect(said).toEqual(done)
  expect(file_envelope.messages).toContain(FrameSchema)
})
