import { inspect } from 'node:util'
import fc from 'fast-check'
import { SuperJSON } from 'superjson'
import { expect, test } from 'vitest'
import { quickDeserialize, quickJson } from '../../../server/procedures/quick-superjson.ts'

interface Transformer {
  serialize(value: unknown): unknown
}

/** What a transformer writes, the quick way where that knows the value; the transformer is expected to have one. */
function quickOf(transformer: Transformer): (value: unknown) => string | undefined {
  const quick = quickJson(transformer)
  if (!quick) throw new Error('not taken for a superjson')
  return value => quick(value) ?? JSON.stringify(transformer.serialize(value))
}

const slowlyOf = (transformer: Transformer) => (value: unknown) =>
  JSON.stringify(transformer.serialize(value))

/** What goes over the wire, or what is thrown in its place. */
function written(write: (value: unknown) => string | undefined, value: unknown): string {
  try {
    return String(write(value))
  } catch (thrown) {
    return `thrown: ${String(thrown)}`
  }
}

const shared = [{ at: new Date(1) }, new Date(2), ['x'], new Map([[1, { a: 1 }]])]

/** Wide in kinds, and with names and members that superjson treats in its own way. */
const anything = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.double(),
      fc.integer(),
      fc.boolean(),
      fc.constantFrom(null, undefined, NaN, -0, Infinity, 10n, Symbol('s'), Object.prototype, () => 1),
      fc.date({ noInvalidDate: false }),
      fc.constantFrom(...shared),
      fc.constantFrom(
        /a/g,
        new URL('http://a/'),
        new Error('e'),
        new Uint8Array(2),
        new (class A {
          a = 1
        })(),
      ),
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.sparseArray(tie('value'), { maxLength: 4, maxNumElements: 3 }),
    fc.array(tie('value'), { maxLength: 2 }).map(items => Object.assign(items, { beside: items[0] })),
    fc.array(tie('value'), { maxLength: 2 }).map(items => new Set(items)),
    fc.dictionary(
      fc.oneof(
        fc.string(),
        fc.constantFrom('a', 'a.b', 'a\\b', '1', '10', '__proto__', 'constructor', 'prototype', 'toJSON'),
      ),
      tie('value'),
      { maxKeys: 4 },
    ),
  ),
})).value

test('what goes over the wire is what superjson would write, whatever the value', () => {
  const quick = quickOf(SuperJSON)
  fc.assert(
    fc.property(anything, value => {
      expect(written(quick, value)).toBe(written(slowlyOf(SuperJSON), value))
    }),
    { numRuns: 3000 },
  )
})

test('plain values and those with dates do not take the long way', () => {
  let asked = 0
  class Counting extends SuperJSON {
    override serialize(value: Parameters<SuperJSON['serialize']>[0]) {
      asked++
      return super.serialize(value)
    }
  }
  const quick = quickOf(new Counting())
  asked = 0
  const at = new Date(0)
  const values = [
    null,
    'a',
    1,
    true,
    [1, [2]],
    { a: { b: [{}] } },
    { at, 'a.b': [{ at: new Date(1) }], no: undefined },
  ]
  values.forEach(quick)
  expect(asked).toBe(0)
  quick([at, at])
  expect(asked).toBe(1)
})

test('a circle is left to superjson', () => {
  const circle: { self?: unknown } = {}
  circle.self = circle
  expect(written(quickOf(SuperJSON), circle)).toBe(written(slowlyOf(SuperJSON), circle))
})

test('types that the application registers are seen, also when it does so later', () => {
  const superjson = new SuperJSON()
  const quick = quickOf(superjson)
  expect(quick('now')).toBe('{"json":"now"}')
  superjson.registerCustom<string, string>(
    {
      isApplicable: (value): value is string => value === 'now',
      serialize: () => 'then',
      deserialize: value => value,
    },
    'time',
  )
  expect(quick('now')).toBe(JSON.stringify(superjson.serialize('now')))
  expect(quick('now')).toContain('"json":"then"')

  const withClasses = new SuperJSON()
  const quickToo = quickOf(withClasses)
  withClasses.registerClass(Array, { identifier: 'list' })
  expect(quickToo([1])).toBe(JSON.stringify(withClasses.serialize([1])))
})

test('another transformer is nobody we know', () => {
  expect(quickJson({ serialize: value => value })).toBeNull()
  expect(quickJson({ serialize: value => SuperJSON.serialize(value) })).toBeNull()
  // Of its shape, with a hand of its own.
  class Louder extends SuperJSON {
    override serialize(value: Parameters<SuperJSON['serialize']>[0]) {
      return { ...super.serialize(value), loud: true }
    }
  }
  expect(quickJson(new Louder())).toBeNull()
})

/** As it may come over the wire, by a hand that is not superjson's. */
const handwritten = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, 1, 'a'),
    fc.array(tie('value'), { maxLength: 3 }),
    fc
      .array(fc.tuple(fc.constantFrom('a', 'b', '__proto__', 'constructor', 'prototype'), tie('value')), {
        maxLength: 3,
      })
      .map(members => Object.fromEntries(members)),
  ),
})).value

test('what comes in is what superjson makes of it, and is not copied where nothing is noted of it', () => {
  const superjson = new SuperJSON()
  const deserialize = quickDeserialize(superjson)
  if (!deserialize) throw new Error('not taken for a superjson')
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), fc.date({ noInvalidDate: true }), fc.array(fc.bigInt())), value => {
      const wire = written(slowlyOf(superjson), { value })
      fc.pre(!wire.startsWith('thrown'))
      expect(deserialize(JSON.parse(wire))).toEqual(superjson.deserialize(JSON.parse(wire)))
    }),
  )
  // Text, in which a member is seen that is named __proto__.
  const read = (by: typeof deserialize, wire: string) => inspect(by(JSON.parse(wire)), { depth: Infinity })
  fc.assert(
    fc.property(handwritten, json => {
      const wire = JSON.stringify({ json })
      expect(read(deserialize, wire)).toBe(read(value => superjson.deserialize(value as never), wire))
    }),
    { numRuns: 1000 },
  )
  const payload = { json: { a: [1] } }
  expect(deserialize(payload)).toBe(payload.json)
  for (const malformed of [null, undefined, 1, 'a']) {
    const outcome = (read: () => unknown) => {
      try {
        return read()
      } catch (thrown) {
        return String(thrown)
      }
    }
    expect(outcome(() => deserialize(malformed))).toBe(
      outcome(() => superjson.deserialize(malformed as never)),
    )
  }
})

test('a member by the name of __proto__ does not come in, also where somebody merges what did', () => {
  const deserialize = quickDeserialize(new SuperJSON())
  const input = deserialize?.(JSON.parse('{"json":[{"a":{"__proto__":{"isAdmin":true}}}]}')) as [
    { a: object },
  ]
  expect(Object.keys(input[0].a)).toEqual([])
  const merged: { isAdmin?: boolean } = {}
  for (const [name, value] of Object.entries(input[0].a)) merged[name as 'isAdmin'] = value as boolean
  expect(merged.isAdmin).toBeUndefined()
  expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined()
})

test('neither depth, nor width, nor a circle is too much to look through', () => {
  const deserialize = quickDeserialize(new SuperJSON())
  const nested = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
  expect(deserialize?.({ json: JSON.parse(nested) as unknown })).toBeInstanceOf(Array)
  const wide = Array<number>(1_000_000).fill(1)
  expect(deserialize?.({ json: wide })).toBe(wide)
  const circle: unknown[] = []
  circle.push(circle, circle)
  const read = deserialize?.({ json: circle }) as unknown[]
  expect(read[0]).toBe(read)
})
