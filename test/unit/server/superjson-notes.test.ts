import fc from 'fast-check'
import { SuperJSON } from 'superjson'
import { describe, expect, test } from 'vitest'
import { checkNotes } from '../../../server/procedures/superjson-notes.ts'
import { allocatedBy } from '../../support/cost.ts'

const shared = [{ at: new Date(1) }, new Date(2), ['x', new Set(['y'])], new Map([[{ k: 1 }, { a: 1 }]])]

class Point {
  x: unknown = 1
}

const anything = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(...shared),
    fc.constantFrom(null, undefined, NaN, -0, 10n, /a/g, new URL('http://a/'), new Uint8Array(2), 'a', 1),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(tie('value'), { maxLength: 3 }).map(items => new Set(items)),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 }).map(entries => new Map(entries)),
    fc.dictionary(fc.constantFrom('a', 'b.c', 'd\\', 'e\\.f', '0', ''), tie('value')),
    tie('value').map(cause => new Error('failed', { cause })),
    tie('value').map(x => Object.assign(new Point(), { x })),
    // Both are noted, and JSON leaves them out.
    fc.array(tie('value'), { maxLength: 2 }).map(items => Object.assign(items, { beside: [items[0]] })),
    fc.constant({ once: () => 1 }).map(({ once }) => ({ once, again: once })),
    tie('value').map(value => {
      const circle: Record<string, unknown> = { value }
      circle['again'] = circle
      return circle
    }),
  ),
}))

test.each([false, true])('what superjson has written passes (dedupe: %s)', dedupe => {
  const superjson = new SuperJSON({ dedupe })
  superjson.registerClass(Point)
  fc.assert(
    fc.property(anything.value, value => {
      const sent = JSON.parse(JSON.stringify(superjson.serialize(value))) as unknown
      expect(() => checkNotes(sent)).not.toThrow()
    }),
    { numRuns: 2_000 },
  )
})

describe('is refused', () => {
  const list = Array(5_000).fill(0)
  const many = Array(5_000).fill('other.4999')
  const byItem = (before: string, count = 5_000) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [before + i, ['undefined']]))
  const typedArray = [['typed-array', 'Uint8Array']]

  test.each<[what: string, json: unknown, meta: unknown]>([
    ['an index beyond a list', { a: [0] }, { values: { 'a.4000000000': ['undefined'] } }],
    ['an index that is none', { a: [0] }, { values: { 'a.1e9': ['undefined'] } }],
    ['a reference beyond a list', { a: [0], b: 1 }, { referentialEqualities: { b: ['a.4000000000'] } }],
    ['a reference to what is inherited', { b: 1 }, { referentialEqualities: { 'toString.name': ['b'] } }],
    ['the whole beyond a list', { a: [0] }, { referentialEqualities: [['a.9']] }],
    ['a step into a text', { a: 'abc' }, { values: { 'a.0': ['Date'] } }],
    ['a typed array of a number', 1e9, { values: [['typed-array', 'Float64Array']] }],
    ['a typed array of what has a length', { length: 1e9 }, { values: [['typed-array', 'Uint8Array']] }],
    ['two notes of one value', { a: { b: 1 } }, { values: { a: { b: ['Date'] }, 'a.b': ['Date'] } }],
    [
      'too many steps into sets',
      { set: list, other: list },
      { values: { set: ['set'] }, referentialEqualities: { set: many } },
    ],
    ['a tree of texts', { a: 1 }, { values: 'Date' }],
    ['no list of copies', { a: 1 }, { referentialEqualities: { a: 'a' } }],
    [
      'a typed array of what is made a number first',
      [[1e9]],
      { values: { 0: ['number'], '00': typedArray } },
    ],
    [
      'a typed array of a key of what is made a map first',
      { a: [[1e9, 0]] },
      { values: { a: ['map'], 'a.0': typedArray } },
    ],
    [
      'a typed array by what one version escapes and another does not',
      { '\\\\': [1], '\\': 1e9 },
      { values: { '\\\\': typedArray }, v: '1' },
    ],
    ['notes in a set that was noted before', { a: list }, { values: { a: ['set'], ...byItem('a.') } }],
    ['a long path that leads nowhere', 0, { values: { ['a.'.repeat(100_000)]: byItem('') } }],
    ['a bigint of a megabyte', '9'.repeat(1_000_000), { values: ['bigint'] }],
    ['a bigint of a list', ['9'.repeat(10_000)], { values: ['bigint'] }],
    ['a copy that is no path', { a: 1 }, { referentialEqualities: { a: [1] } }],
  ])('%s', (_, json, meta) => {
    expect(() => checkNotes({ json, meta: { v: 1, ...(meta as object) } })).toThrow(/^The input (has|notes)/)
  })
})

test('what has a long name is looked through in a memory that goes with the length of its notes', () => {
  const name = 'a'.repeat(200_000)
  const list = Array.from({ length: 1_000 }, () => 0)
  const notes = Object.fromEntries(list.map((_, i) => [i, ['undefined']]))
  const input = { json: { [name]: list }, meta: { values: { [name]: notes }, v: 1 } }
  expect(allocatedBy(() => checkNotes(input))).toBeLessThan(4_000_000)
})
