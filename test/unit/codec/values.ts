/** Values that a codec has to carry. */
import fc from 'fast-check'

// A lone surrogate is no text, and -0 is 0 to every codec, JSON included.
const text = fc.string({ unit: 'grapheme', maxLength: 40 })
const number = fc
  .oneof(fc.integer(), fc.maxSafeInteger(), fc.double())
  .map(value => (value === 0 ? 0 : value))
const bytes = fc.uint8Array({ maxLength: 300 })
const name = text.filter(name => name !== '__proto__')

const leaf = fc.oneof(
  fc.constant(null),
  fc.constant(undefined),
  fc.boolean(),
  number,
  fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }),
  text,
  bytes,
  fc.float64Array({ maxLength: 4 }),
  fc.date({ noInvalidDate: false }),
)

/** As plain data may be, five levels deep. */
export const anyValue: fc.Arbitrary<unknown> = fc.letrec(tie => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(name, tie('value'), { maxKeys: 5, noNullPrototype: true }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 }).map(entries => new Map(entries)),
    fc.array(tie('value'), { maxLength: 3 }).map(values => new Set(values)),
  ),
})).value
