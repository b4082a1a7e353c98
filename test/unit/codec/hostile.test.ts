/** What every codec does with bytes that nobody has written. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Codec } from '../../../shared/codec/codec.ts'
import { msgpackCodec } from '../../../shared/codec/msgpack.ts'
import { protobufCodec } from '../../../shared/codec/protobuf.ts'
import { refusalOf } from './refusal.ts'
import { anyValue } from './values.ts'

const codecs: readonly (readonly [string, Codec])[] = [
  ['MessagePack', msgpackCodec()],
  ['Protobuf', protobufCodec()],
]
const typed = [null, 'MESSAGE_INVALID', 'INPUT_TOO_DEEP']

describe.each(codecs)('%s', (_, codec) => {
  const { encode } = codec.formatFor()
  const message = anyValue.map(data => Buffer.from(encode({ id: 1, result: { type: 'data', data } })))

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
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        expect(typed).toContain(refusalOf(codec, bytes))
      }),
      { numRuns: 1_000 },
    )
  })

  test('a message in which some bytes are others is refused in the typed way, or harmless', () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(message, changes, (bytes, changes) => {
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte
        expect(typed).toContain(refusalOf(codec, bytes))
      }),
      { numRuns: 1_000 },
    )
  })
})
