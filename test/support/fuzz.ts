/** What decoders are fuzzed with: texts and bytes that are almost right, and places to cut them at. */
import fc from 'fast-check'

/** Any text, halves of characters and control characters among it. */
export const anyText: fc.Arbitrary<string> = fc.string({
  unit: fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    fc.constantFrom('\ud83d', '\udc00', '"'),
  ),
  maxLength: 60,
})

/** So deep that what calls itself for each level would have the stack. */
export const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)

const oddNumbers =
  '0 -0 -1 1.5 1e400 -1e400 1e-400 65537 4294967296 9007199254740993 123456789012345678901234567890'.split(
    ' ',
  )
const oddTexts = '"" "\\ud83d" "\\udc00\\ud83d" "\\u0000" "\\r\\nid:1" "__proto__" "then" "1e400"'.split(' ')
const oddObjects = [
  '{"__proto__":{"polluted":1}}',
  '{"constructor":{"prototype":{"polluted":1}}}',
  '{"then":{"then":1},"toString":0,"valueOf":0,"toJSON":0}',
  '{"a":1,"a":{"a":2}}',
  '{"json":1,"meta":{"values":["Date"]}}',
  '{"length":1e9}',
]

/** JSON as no encoder would write it. */
const oddJson = fc.oneof(
  fc.json({ maxDepth: 3 }),
  fc.constantFrom('null', 'true', '{}', '[]', ...oddNumbers, ...oddTexts, ...oddObjects),
  fc.constantFrom(63, 66, 3_000).map(deep),
)

const oddName = fc.constantFrom(
  ...'__proto__ constructor toString then length id method params path input jsonrpc credit'.split(' '),
  ...'lastEventId result error data json meta'.split(' '),
)

/** What is wrong with one member of a message. */
interface Oddity {
  /** The how manieth of its members it is, those of members among them. */
  readonly at: number
  readonly how: 'replaced' | 'missing' | 'twice' | 'renamed' | 'beside another'
  readonly name: string
  readonly json: string
}

const oddity: fc.Arbitrary<Oddity> = fc.record({
  at: fc.nat({ max: 9 }),
  how: fc.constantFrom('replaced', 'replaced', 'missing', 'twice', 'renamed', 'beside another'),
  name: oddName,
  json: oddJson,
})

/** Written as text and not as a value: a name may come twice in it, and a number may be none. */
function writeOddly(message: unknown, oddities: readonly Oddity[]): string {
  let place = 0
  const member = (name: string, value: unknown): string[] => {
    const odd = oddities.find(({ at }) => at === place)
    place += 1
    const asIs = `${JSON.stringify(name)}:${write(value)}`
    const other = odd && `${JSON.stringify(odd.how === 'beside another' ? odd.name : name)}:${odd.json}`
    switch (odd?.how) {
      case undefined:
        return [asIs]
      case 'missing':
        return []
      case 'renamed':
        return [`${JSON.stringify(odd?.name)}:${write(value)}`]
      case 'replaced':
        return [other ?? '']
      case 'twice':
      case 'beside another':
        return [asIs, other ?? '']
    }
  }
  const write = (value: unknown): string => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return JSON.stringify(value)
    return `{${Object.entries(value).flatMap(([name, inner]) => (inner === undefined ? [] : member(name, inner)))}}`
  }
  return write(message)
}

/** Its JSON with a few members that are not as they should be. */
export const almost = (message: fc.Arbitrary<object>): fc.Arbitrary<string> =>
  fc
    .tuple(message, fc.array(oddity, { maxLength: 3 }))
    .map(([message, oddities]) => writeOddly(message, oddities))

/** Cut short, or with something put in where it does not belong. */
export const marred = (text: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(text, fc.nat(), fc.nat({ max: 3 }), fc.oneof(anyText, oddJson)).map(([text, place, gone, put]) => {
    const at = place % (text.length + 1)
    return text.slice(0, at) + (gone === 3 ? '' : put + text.slice(at + gone))
  })

const anyId = fc.oneof(
  fc.nat(),
  fc.integer(),
  fc.double(),
  fc.string(),
  fc.constantFrom(null, true, '', 2 ** 53),
)
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })

/** What a client may say, to these procedures. */
export function clientMessages(paths: readonly string[]): fc.Arbitrary<object> {
  return fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        id: anyId,
        jsonrpc: fc.constantFrom(undefined, '2.0'),
        method: fc.constantFrom('query', 'mutation', 'subscription'),
        params: fc.record({
          path: fc.constantFrom(...paths, 'nobody', '__proto__', 'constructor', 'toString'),
          input: fc.jsonValue({ maxDepth: 2 }),
          lastEventId: maybe(fc.string()),
          again: maybe(fc.constant(true)),
          lag: maybe(fc.constant(true)),
          idempotencyKey: maybe(fc.string()),
          credit: maybe(fc.record({ events: fc.nat(100_000), bytes: fc.nat(2 ** 27) })),
        }),
      }),
    },
    fc.record({ id: anyId, method: fc.constant('subscription.stop') }),
    fc.record({
      id: anyId,
      method: fc.constant('subscription.credit'),
      params: fc.record({ events: fc.nat(70_000) }),
    }),
    fc.record({ method: fc.constant('connectionParams'), data: fc.dictionary(fc.string(), fc.string()) }),
  )
}

/** What a server may say. */
export const serverMessages: fc.Arbitrary<object> = fc.oneof(
  fc.record({
    id: anyId,
    result: fc.record({
      type: fc.constantFrom('started', 'data', 'stopped', 'lag', undefined),
      data: fc.jsonValue({ maxDepth: 2 }),
      id: maybe(fc.string()),
      position: maybe(fc.string()),
      credit: maybe(fc.constant(true)),
      events: maybe(fc.nat()),
      ms: maybe(fc.nat()),
    }),
  }),
  fc.record({
    id: anyId,
    error: fc.record({ code: fc.integer(), message: fc.string(), data: fc.jsonValue({ maxDepth: 2 }) }),
  }),
  fc.record({ id: fc.constant(null), method: fc.constantFrom('reconnect', 'renew'), params: fc.jsonValue() }),
)

/** One message or several as text, right, almost right, or nothing of the kind. */
export function frameTexts(message: fc.Arbitrary<object>): fc.Arbitrary<string> {
  const one = almost(message)
  const several = fc.array(one, { maxLength: 4 }).map(messages => `[${messages.join()}]`)
  return fc.oneof(
    { weight: 4, arbitrary: one },
    { weight: 2, arbitrary: several },
    { weight: 2, arbitrary: marred(fc.oneof(one, several)) },
    { weight: 1, arbitrary: fc.oneof(oddJson, anyText) },
  )
}

/** Beginnings of what announces more than there will be: lengths and counts of 16, 32 and 64 bits. */
const announcing = [
  [0xdd, 0xff, 0xff, 0xff, 0xff],
  [0xdf, 0x01, 0x00, 0x00, 0x00],
  [0xdb, 0x7f, 0xff, 0xff, 0xff],
  [0xc6, 0x10, 0x00, 0x00, 0x00],
  [0xc9, 0x40, 0x00, 0x00, 0x00, 0x74],
  [0xdc, 0xff, 0xff],
  [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
  [0x1a, 0x80, 0x80, 0x80, 0x80, 0x08],
  [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
].map(bytes => Uint8Array.from(bytes))

/** The same bytes with some of them others, gone, or with others put in. */
export function almostBytes(bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const change = fc.record({
    at: fc.nat(),
    gone: fc.nat({ max: 4 }),
    put: fc.oneof(fc.uint8Array({ maxLength: 4 }), fc.constantFrom(...announcing)),
  })
  return fc.tuple(bytes, fc.array(change, { minLength: 1, maxLength: 4 })).map(([bytes, changes]) => {
    let all = Buffer.from(bytes)
    for (const { at, gone, put } of changes) {
      const place = at % (all.length + 1)
      all = Buffer.concat([all.subarray(0, place), put, all.subarray(place + gone)])
    }
    return Uint8Array.from(all)
  })
}

/** Where to cut something of whatever length. */
export const cuts: fc.Arbitrary<number[]> = fc.array(fc.nat(), { maxLength: 12 })

/** Byte by byte, as far as that goes. */
export const everywhere = fc.constant(Array.from({ length: 1_000 }, (_, place) => place))

/** In order, and together the whole; one may be empty. */
export function cut(bytes: Uint8Array, at: readonly number[]): Uint8Array[] {
  const ends = [...new Set(at.map(place => place % (bytes.length + 1)))].toSorted((a, b) => a - b)
  return [...ends, bytes.length].map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end))
}
