import superjson, { SuperJSON } from 'superjson'
import { expect, test } from 'vitest'
import { resolveOptions } from '../../../client/options.ts'

/** A link's options for a router with a transformer, whose types are not looked at here. */
const resolve = (transformer: unknown) =>
  resolveOptions({ url: 'http://a', transformer: transformer as never })

test.each([
  ['superjson', superjson],
  ['an instance of it', new SuperJSON()],
  ['one of two', { input: superjson, output: superjson }],
])('%s reads what was parsed for it without a copy, and gives the same', (_, transformer) => {
  const { output } = resolve(transformer).transformer
  const event = { text: 'hi', list: [1] }
  expect(output.deserialize({ json: event })).toBe(event)
  const rich = { at: new Date(5), tags: new Set(['a']), big: 5n, same: [event, event] }
  const read = output.deserialize(JSON.parse(JSON.stringify(output.serialize(rich)))) as typeof rich
  expect(read).toEqual(rich)
  expect(read.same[0]).toBe(read.same[1])
})

test('any other transformer is given the value alone', () => {
  const calls: unknown[][] = []
  const deserialize = (...args: unknown[]) => (calls.push(args), args[0])
  resolve({ serialize: deserialize, deserialize }).transformer.output.deserialize('x')
  expect(calls).toEqual([['x']])
})
