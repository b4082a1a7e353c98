import fc from 'fast-check'
import { expect, test } from 'vitest'
import { jsonFormat } from '../../../shared/codec/json.ts'

test('head and tail together are the message, also of a value that JSON has no word for', () => {
  const { encode, split } = jsonFormat(value => (value === 'nothing' ? undefined : value))
  const id = fc.oneof(fc.integer(), fc.string(), fc.constant(null))
  const envelope = fc.oneof(fc.record({ id }), fc.record({ id, jsonrpc: fc.constant('2.0' as const) }))
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(undefined, 'nothing', () => {}),
  )
  fc.assert(
    fc.property(envelope, fc.string(), value, (envelope, id, data) => {
      const head = split?.head(envelope) ?? ''
      expect(split?.join(head, split.tail(id, data))).toBe(
        encode({ ...envelope, result: { type: 'data', data: { id, data }, id } }),
      )
      expect(split?.join(head, split.untrackedTail(data))).toBe(
        encode({ ...envelope, result: { type: 'data', data } }),
      )
      for (const type of ['started', 'stopped'] as const) {
        expect(split?.join(head, split.controlTail(type))).toBe(encode({ ...envelope, result: { type } }))
      }
    }),
  )
})
