import superjson from 'superjson'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeConnected, decodeData, decodeError } from '../../../client/transports/decode-event.ts'
import { decodeFrame } from '../../../client/transports/decode.ts'
import { isSluiceError } from '../../../shared/errors.ts'

const plain = { deserialize: (value: unknown) => value }
const error = { code: -32603, message: 'no', data: { code: 'INTERNAL_SERVER_ERROR' } }

describe('a frame of a WebSocket', () => {
  test.each([
    [
      { id: 1, result: { type: 'started' } },
      { type: 'started', id: 1, position: undefined },
    ],
    [
      { id: 1, result: { type: 'started', position: 'a.b.3' } },
      { type: 'started', id: 1, position: 'a.b.3' },
    ],
    [
      { id: 1, result: { type: 'stopped' } },
      { type: 'stopped', id: 1 },
    ],
    [
      { id: 'x', result: { data: 7 } },
      { type: 'data', id: 'x', eventId: undefined, data: 7, size: 30 },
    ],
    [
      { id: 1, result: { type: 'data', id: 'e1', data: { id: 'e1', data: 7 } } },
      { type: 'data', id: 1, eventId: 'e1', data: { id: 'e1', data: 7 }, size: 71 },
    ],
    [{ id: null, method: 'reconnect' }, { type: 'reconnect' }],
  ])('%j', (message, received) => {
    expect(decodeFrame(JSON.stringify(message), plain)).toEqual([received])
  })

  test('may hold several messages', () => {
    const messages = [1, 2].map(id => ({ id, result: { type: 'stopped' } }))
    expect(decodeFrame(JSON.stringify(messages), plain)).toEqual([
      { type: 'stopped', id: 1 },
      { type: 'stopped', id: 2 },
    ])
  })

  test('is shared by the events in it, of which each has its part of the size', () => {
    const frame = JSON.stringify([1, 2].map(id => ({ id, result: { data: 'of some length' } })))
    expect(decodeFrame(frame, plain)).toMatchObject([1, 2].map(() => ({ size: frame.length / 2 })))
  })

  test("an error keeps the server's shape, and one for nobody is a complaint", () => {
    expect(decodeFrame(JSON.stringify({ id: 1, error }), plain)).toMatchObject([
      { type: 'error', id: 1, error: { message: 'no', shape: error, data: error.data } },
    ])
    expect(decodeFrame(JSON.stringify({ id: null, error }), plain)).toMatchObject([{ type: 'complaint' }])
  })

  test('a value that the transformer cannot read is an error of its own request', () => {
    const frame = JSON.stringify([
      { id: 1, result: { data: { json: 'x', meta: { values: ['Date', 1, 2, {}] } } } },
      { id: 2, result: { data: { json: 5 } } },
    ])
    const failing = { deserialize: (value: unknown) => superjson.deserialize(value as never) }
    const broken = {
      deserialize: () => {
        throw new TypeError('unreadable')
      },
    }
    expect(decodeFrame(frame, broken)).toMatchObject([
      { type: 'error', id: 1 },
      { type: 'error', id: 2 },
    ])
    expect(decodeFrame(frame, failing).at(-1)).toMatchObject({ type: 'data', data: 5 })
    // And where it answers none, it is a complaint like any other.
    expect(decodeFrame('{"id":null,"error":null}', failing)).toMatchObject([{ type: 'complaint' }])
  })

  test.each([
    ['text that is not JSON', 'nonsense'],
    ['null', 'null'],
    ['a number', '5'],
    ['a message without a result', '{"id":1}'],
    ['a result without a request', '{"result":{"type":"stopped"}}'],
    ['a result of no known type', '{"id":1,"result":{"type":"other"}}'],
    ['an error without a shape', '{"id":1,"error":"no"}'],
    ['an error whose shape is half there', '{"id":1,"error":{"code":1}}'],
    ['an event id that is none', '{"id":1,"result":{"type":"data","id":7}}'],
    ['an array in an array', '[[]]'],
  ])('%s is refused with MESSAGE_INVALID', (_what, text) => {
    expect(() => decodeFrame(text, plain)).toThrow(expect.objectContaining({ code: 'MESSAGE_INVALID' }))
  })

  test('whatever comes, it is read or refused with a typed error', () => {
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc.json().map(json => `{"id":1,"result":${json}}`),
    )
    fc.assert(
      fc.property(text, text => {
        try {
          decodeFrame(text, plain)
        } catch (thrown) {
          expect(isSluiceError(thrown)).toBe(true)
        }
      }),
    )
  })
})

describe('an event of a stream', () => {
  test('has the shape that a WebSocket would have brought', () => {
    const event = {
      event: undefined,
      id: 'e1',
      data: JSON.stringify(superjson.serialize({ at: new Date(0) })),
    }
    const transformer = { deserialize: (value: unknown) => superjson.deserialize(value as never) }
    expect(decodeData(event, 4, transformer)).toEqual({
      type: 'data',
      id: 4,
      eventId: 'e1',
      data: { id: 'e1', data: { at: new Date(0) } },
      size: event.data.length,
    })
    expect(decodeData({ data: '5' }, 4, plain)).toMatchObject({ id: 4, eventId: undefined, data: 5 })
  })

  test('of a generator that yields nothing in particular brings what a WebSocket would have: undefined', () => {
    const nothing = { type: 'data', id: 4, eventId: undefined, data: undefined }
    expect(decodeData({ data: 'undefined' }, 4, plain)).toMatchObject(nothing)
    expect(decodeFrame('{"id":4,"result":{"type":"data"}}', plain)).toMatchObject([nothing])
  })

  test('an error has its shape as the whole of its data', () => {
    expect(decodeError(JSON.stringify(error), 4, plain)).toMatchObject({
      type: 'error',
      id: 4,
      error: { shape: error },
    })
    expect(() => decodeError('<html>', 4, plain)).toThrow(
      expect.objectContaining({ code: 'MESSAGE_INVALID' }),
    )
  })

  test('the first one tells the position, and how long silence may last', () => {
    const nothing = { position: undefined, pingMs: undefined, reconnectAfterInactivityMs: undefined }
    expect(decodeConnected('{}')).toEqual(nothing)
    expect(decodeConnected('{"position":"a.b.0"}')).toEqual({ ...nothing, position: 'a.b.0' })
    expect(decodeConnected('{"pingMs":30000}')).toEqual({ ...nothing, pingMs: 30_000 })
    expect(decodeConnected('{"reconnectAfterInactivityMs":5000}')).toEqual({
      ...nothing,
      reconnectAfterInactivityMs: 5_000,
    })
    expect(decodeConnected('{"position":1,"pingMs":0,"reconnectAfterInactivityMs":"5"}')).toEqual(nothing)
    expect(() => decodeConnected('[]')).toThrow(expect.objectContaining({ code: 'MESSAGE_INVALID' }))
  })
})
