/** What every codec does with what it has written itself. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Codec, Message } from '../../../shared/codec/codec.ts'
import { msgpackCodec } from '../../../shared/codec/msgpack.ts'
import { protobufCodec } from '../../../shared/codec/protobuf.ts'
import { anyValue } from './values.ts'

const codecs: readonly (readonly [string, Codec])[] = [
  ['MessagePack', msgpackCodec()],
  ['Protobuf', protobufCodec()],
]

const id = fc.oneof(fc.nat(), fc.string({ unit: 'grapheme' }))
const text = fc.string({ unit: 'grapheme' })
const optional = { requiredKeys: [] }

const params = fc
  .tuple(
    fc.record({ path: text, input: anyValue }),
    fc.record(
      {
        lastEventId: text,
        again: fc.constant(true as const),
        credit: fc.record({ events: fc.nat(), bytes: fc.nat() }),
      },
      optional,
    ),
  )
  .map(([asked, more]) => ({ ...asked, ...more }))
const event = fc.tuple(text, anyValue).map(([id, data]) => ({ type: 'data', id, data: { id, data } }))

/** Each that there is, and one that nobody has thought of yet. */
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ id, method: fc.constantFrom('query', 'mutation', 'subscription'), params }),
  fc.record({ id, method: fc.constant('subscription.stop') }),
  fc.record({ id, method: fc.constant('subscription.credit'), params: fc.record({ events: fc.nat() }) }),
  fc.record({
    id,
    result: fc.oneof(
      event,
      anyValue.map(data => ({ type: 'data', data })),
    ),
  }),
  fc.record({
    id,
    result: fc.constantFrom({ type: 'started' }, { type: 'started', position: 'x.1' }, { type: 'stopped' }),
  }),
  fc.record({
    id: fc.oneof(id, fc.constant(null)),
    error: fc.record({ code: fc.integer(), data: anyValue }),
  }),
  fc.record({ id: fc.constant(null), method: fc.constantFrom('reconnect', 'renew') }),
  fc.record({ id, method: fc.constant('query'), params: params.map(params => ({ ...params, later: 1 })) }),
  fc.record({ id, result: fc.constant({ type: 'later', data: [1] }), later: anyValue }),
)

describe.each(codecs)('%s', (_, codec) => {
  const { encode, split } = codec.formatFor()

  test('what is written is read as it was, any number of messages in one frame', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 3 }), messages => {
        expect(codec.decode(Buffer.concat(messages.map(encode)))).toEqual(messages)
      }),
      { numRuns: 300 },
    )
  })

  test('the head and the tail of an event together are its message', () => {
    fc.assert(
      fc.property(id, event, (id, result) => {
        const frame = split?.join(split.head({ id }), split.tail(result.id, result.data.data))
        expect(codec.decode(frame ?? new Uint8Array())).toEqual([{ id, result }])
        const { data } = result.data
        const untracked = split?.join(split.head({ id }), split.untrackedTail(data)) ?? new Uint8Array()
        expect(codec.decode(untracked)).toEqual([{ id, result: { type: 'data', data } }])
        for (const type of ['started', 'stopped'] as const) {
          const control = split?.join(split.head({ id }), split.controlTail(type)) ?? new Uint8Array()
          expect(Buffer.from(control)).toEqual(Buffer.from(encode({ id, result: { type } })))
        }
      }),
    )
  })

  test('bytes take their own length, and little more', () => {
    const data = crypto.getRandomValues(new Uint8Array(10_240))
    expect(encode({ id: 1, result: { type: 'data', data: { data } } }).length).toBeLessThan(10_240 + 64)
  })
})

test('the version of the protocol is repeated where the messages are those of JSON', () => {
  const { split } = msgpackCodec().formatFor()
  const envelope = { id: 'a', jsonrpc: '2.0' as const }
  const frame = split?.join(split.head(envelope), split.tail('1', 2)) ?? new Uint8Array()
  expect(msgpackCodec().decode(frame)).toEqual([
    { ...envelope, result: { type: 'data', data: { id: '1', data: 2 }, id: '1' } },
  ])
})
