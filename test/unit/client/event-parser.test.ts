import { createParser } from 'eventsource-parser'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createEventParser, type StreamEvent } from '../../../client/transports/event-parser.ts'

function parse(...pieces: readonly string[]): StreamEvent[] {
  const events: StreamEvent[] = []
  const take = createEventParser(event => events.push(event))
  for (const piece of pieces) take(piece)
  return events
}

/** The same by a parser that many use. */
function parseByAnother(text: string): StreamEvent[] {
  const events: StreamEvent[] = []
  createParser({ onEvent: ({ event, id, data }) => events.push({ event, id, data }) }).feed(text)
  return events
}

const word = fc.constantFrom('', ' ', 'a', ' a', ': b', 'data', 'id:7', '\0', 'ü', '😀', '{"json":[1]}')
const field = fc.constantFrom('data', 'event', 'id', 'retry', '', 'dat', 'data ', 'Data', '\uFEFFdata')
const line = fc.oneof(
  fc.constant(''),
  word,
  fc.tuple(field, fc.constantFrom(':', ': ', ':  '), word).map(parts => parts.join('')),
)
/** Lines with any ends; the comment after them settles whether a last CR was a line end of its own. */
const stream = fc
  .array(fc.tuple(line, fc.constantFrom('\n', '\n', '\r', '\r\n', '\n\n', '\r\r')), { maxLength: 30 })
  .map(lines => `${lines.flat().join('')}:\n`)

describe('a stream of events', () => {
  test('is read as eventsource-parser reads it', () => {
    fc.assert(
      fc.property(stream, text => {
        expect(parse(text)).toEqual(parseByAnother(text))
      }),
    )
  })

  test('is read alike however it is cut', () => {
    fc.assert(
      fc.property(stream, fc.array(fc.nat(200)), (text, at) => {
        const cuts = [0, ...at.map(cut => Math.min(cut, text.length)), text.length].toSorted((a, b) => a - b)
        const pieces = cuts.map((cut, index) => text.slice(cut, cuts[index + 1] ?? cut))
        expect(parse(...pieces)).toEqual(parse(text))
      }),
    )
  })

  test('may end its lines by CR alone, and an event is there with its last one', () => {
    expect(parse('data: 1\rid: a\r\r')).toEqual([{ event: undefined, id: 'a', data: '1' }])
  })

  test('does not give an event the id of the one before', () => {
    expect(parse('data: 1\nid: a\n\ndata: 2\n\n').map(({ id }) => id)).toEqual(['a', undefined])
  })

  test('a long line in many pieces is put together once', () => {
    const piece = 'x'.repeat(1_000)
    const pieces = Array.from({ length: 10_000 }, () => piece)
    expect(parse('data:', ...pieces, '\n\n')[0]?.data.length).toBe(10_000_000)
  })
})
