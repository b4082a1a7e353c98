/** What every codec does with bytes that nobody has written. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Codec } from '../../../shared/codec/codec.ts'
import { msgpackCodec } from '../../../shared/codec/msgpack.ts'
import { protobufCodec } from '../../../shared/codec/protobuf.ts'
import { PriceSchema } from '../../interop/support/price_pb.ts'
import { createStopwatch, sizeOf } from '../../support/cost.ts'
import { almostBytes } from '../../support/fuzz.ts'
import { refusalOf } from './refusal.ts'
import { anyValue } from './values.ts'

const timed = createStopwatch()

/** With what their events are. */
const codecs: readonly (readonly [string, Codec, fc.Arbitrary<unknown>])[] = [
  ['MessagePack', msgpackCodec(), anyValue],
  ['Protobuf', protobufCodec(), anyValue],
  [
    'Protobuf with schemas',
    protobufCodec({ schemas: { onPrice: { output: PriceSchema } } }),
    fc.record({
      symbol: fc.string({ unit: 'grapheme' }),
      price: fc.double(),
      chart: fc.uint8Array(),
      bids: fc.array(fc.record({ price: fc.double(), size: fc.nat(), next: fc.record({ size: fc.nat() }) })),
    }),
  ],
]
const typed = [null, 'MESSAGE_INVALID', 'INPUT_TOO_DEEP']

describe.each(codecs)('%s', (name, codec, value) => {
  const { encode } = codec.formatFor('onPrice')
  const message = value.map(data => Buffer.from(encode({ id: 1, result: { type: 'data', data } })))

  /** Bytes of whatever kind are refused in the typed way, or are no more than there is of them. */
  const expectHarmless = (bytes: Uint8Array) => {
    const decode = () => codec.decode(bytes)
    const refusal = refusalOf({ ...codec, decode: () => timed(name, decode) }, bytes)
    expect(typed).toContain(refusal)
    if (refusal === null) expect(sizeOf(decode())).toBeLessThanOrEqual(16 * bytes.length + 100)
  }

  test('a message that is cut short is refused, wherever it is cut', () => {
    fc.assert(
      fc.property(message, fc.nat(), (bytes, at) => {
        expect(refusalOf(codec, bytes.subarray(0, 1 + (at % (bytes.length - 1))))).toBe('MESSAGE_INVALID')
      }),
    )
  })

  test('of more messages than there may be in a frame none is read', () => {
    const frame = Buffer.concat(
      Array.from({ length: 11 }, () => encode({ id: 1, method: 'subscription.stop' })),
    )
    expect(codec.decode(frame, { maxMessages: 11 })).toHaveLength(11)
    const tooLong = expect.objectContaining({ code: 'BATCH_TOO_LONG', data: { limit: 10 } })
    expect(() => codec.decode(frame, { maxMessages: 10 })).toThrow(tooLong)
  })

  test('random bytes are refused in the typed way, or harmless', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), expectHarmless), { numRuns: 1_000 })
  })

  test('a message in which some bytes are others, or gone, or too many is refused in the typed way, or harmless', () => {
    fc.assert(fc.property(almostBytes(message), expectHarmless), { numRuns: 1_000 })
  })
})
