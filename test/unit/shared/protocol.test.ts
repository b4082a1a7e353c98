import fc from 'fast-check'
import { createParser } from 'eventsource-parser'
import { expect, test } from 'vitest'
import { SluiceError } from '../../../shared/errors.ts'
import { createEpoch, formatCursor, parseCursor, tagOfLog } from '../../../shared/protocol/cursor.ts'
import { askForExtensions, negotiate } from '../../../shared/protocol/negotiate.ts'
import { formatSseControl, formatSseData, sseEvent } from '../../../shared/protocol/sse.ts'

const place = fc.record({
  tag: fc.string().map(tagOfLog),
  epoch: fc.constant(null).map(createEpoch),
  offset: fc.maxSafeNat(),
})

test('a cursor survives formatting and parsing', () => {
  fc.assert(
    fc.property(place, value => {
      expect(parseCursor(formatCursor(value))).toEqual(value)
    }),
  )
})

test('anything that is not a cursor is refused in the typed way, and never crashes', () => {
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.string(), fc.stringMatching(/^[0-9a-z.]{0,40}$/)), value => {
      try {
        // What is accepted is a cursor: it is written back as the same string.
        expect(formatCursor(parseCursor(value))).toBe(value)
      } catch (error) {
        expect(error).toBeInstanceOf(SluiceError)
        expect((error as SluiceError).code).toBe('CURSOR_INVALID')
      }
    }),
    { numRuns: 2000 },
  )
})

test('different logs have different tags', () => {
  const names = ['a', 'b', 'a/b', 'a/b/c', 'room/general', 'room/generaL', 'room/généreux', '']
  expect(new Set(names.map(tagOfLog)).size).toBe(names.length)
})

function parseEvents(text: string) {
  const events: { data: string; id?: string | undefined; event?: string | undefined }[] = []
  const parser = createParser({ onEvent: event => void events.push(event) })
  parser.feed(text)
  return events
}

test('no payload and no id can forge an event', () => {
  const evil = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[\r\n\0:a-z ]*$/),
    fc.constant('1\n\ndata: forged\n\n'),
  )
  fc.assert(
    fc.property(evil, evil, (payload, id) => {
      let text
      try {
        text = formatSseData(JSON.stringify(payload), id)
      } catch (error) {
        expect((error as SluiceError).code).toBe('EVENT_ID_INVALID')
        expect(id).toMatch(/[\r\n\0]/)
        return
      }
      const events = parseEvents(text)
      expect(events).toHaveLength(1)
      expect(JSON.parse(events[0]?.data ?? '')).toBe(payload)
    }),
    { numRuns: 1000 },
  )
})

test('a control event carries no id', () => {
  for (const name of Object.values(sseEvent)) {
    const [event] = parseEvents(formatSseControl(name, '{}'))
    expect(event).toMatchObject({ event: name, data: '{}' })
    expect(event?.id).toBeUndefined()
  }
})

test('extensions are used only towards a client that asked', () => {
  expect(negotiate(new URLSearchParams('')).position).toBe(false)
  expect(negotiate(new URLSearchParams('sluice=2')).position).toBe(false)
  for (const url of ['/trpc', '/trpc?a=1', 'ws://host/trpc#x', 'http://host?connectionParams=1']) {
    const asked = new URL(askForExtensions(url), 'http://base')
    expect(negotiate(asked.searchParams).position).toBe(true)
    expect(asked.hash).toBe(url.endsWith('#x') ? '#x' : '')
  }
})
