/** What a session makes of a stranger's frames: messages as they should be, or a refusal in tRPC's words. */
import fc from 'fast-check'
import superjson from 'superjson'
import { msgpackCodec } from 'trpc-sluice/codecs/msgpack'
import { protobufCodec } from 'trpc-sluice/codecs/protobuf'
import { describe, expect, test } from 'vitest'
import type { Incoming } from '../../../server/session/incoming.ts'
import type { Message } from '../../../shared/codec/codec.ts'
import { creditBounds } from '../../../shared/protocol/credit.ts'
import { createStopwatch, sizeOf } from '../../support/cost.ts'
import { almostBytes, clientMessages, frameTexts } from '../../support/fuzz.ts'
import { createFrameReader, type Read } from './frame-reader.ts'

const timed = createStopwatch()
const messages = clientMessages(['echo'])

/** Reads frames, each in the way that is expected, and counts how they were taken. */
function createWitness(decoder: string, read: (frame: string | Uint8Array) => Read) {
  const seen = { taken: 0, refused: 0 }
  const see = (frame: string | Uint8Array) => {
    const made = timed(decoder, () => read(frame))
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    if ('refusal' in made) {
      seen.refused += 1
      expect(['PARSE_ERROR', 'BAD_REQUEST']).toContain(made.refusal.code)
      return
    }
    seen.taken += 1
    made.messages.forEach(expectWellFormed)
    expect(sizeOf(made.messages)).toBeLessThanOrEqual(8 * frame.length + 100)
  }
  return { see, seen }
}

function expectWellFormed(incoming: Incoming): void {
  if ('granted' in incoming) {
    expect(['string', 'number']).toContain(typeof incoming.granted.id)
    expectWithin(incoming.granted.events, 1, creditBounds.maxEvents)
    return
  }
  const { message, again, lag, idempotencyKey, credit } = incoming
  expect(message.id === null || ['string', 'number'].includes(typeof message.id)).toBe(true)
  expect([true, false]).toEqual(expect.arrayContaining([again, lag]))
  expect(['string', 'undefined']).toContain(typeof idempotencyKey)
  if (credit) {
    expectWithin(credit.events, 1, creditBounds.maxEvents)
    expectWithin(credit.bytes, creditBounds.minBytes, creditBounds.maxBytes)
  }
  if (message.method === 'subscription.stop') return
  expect(['query', 'mutation', 'subscription']).toContain(message.method)
  expect(typeof message.params.path).toBe('string')
  expect(['string', 'undefined']).toContain(typeof message.params.lastEventId)
}

function expectWithin(value: number, least: number, most: number): void {
  expect(Number.isInteger(value) && least <= value && value <= most, String(value)).toBe(true)
}

describe.each([
  ['none', {}],
  ['superjson', { transformer: superjson }],
])('a text frame (transformer: %s)', (transformer, config) => {
  const decoder = `the server's text frames (transformer: ${transformer})`
  const read = createFrameReader(config)

  test('that is a message, almost one, or nothing of the kind is read or refused', () => {
    const { see, seen } = createWitness(decoder, read)
    fc.assert(fc.property(frameTexts(messages), see), { numRuns: 1_500 })
    // Else it would not be the reading that was tested, or not the refusing.
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(150)
  })

  test('as bytes, which nobody has agreed on, is no different', () => {
    const { see } = createWitness(decoder, read)
    const frame = almostBytes(frameTexts(messages).map(text => Buffer.from(text)))
    fc.assert(
      fc.property(
        frame.map(bytes => Buffer.from(bytes)),
        see,
      ),
      { numRuns: 500 },
    )
  })
})

describe.each([msgpackCodec(), protobufCodec()].map(codec => [codec.name, codec] as const))(
  'a frame in %s',
  (name, codec) => {
    const { encode } = codec.formatFor()
    const frame = fc
      .array(messages, { minLength: 1, maxLength: 3 })
      .map(all => codec.join(all.map(message => Buffer.from(encode(message as Message)))))

    test('that is of messages, or almost, is read or refused', () => {
      const { see, seen } = createWitness(`the server's frames in ${name}`, createFrameReader({}, codec))
      fc.assert(fc.property(fc.oneof(frame, almostBytes(frame)), see), { numRuns: 1_000 })
      expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(100)
    })
  },
)
