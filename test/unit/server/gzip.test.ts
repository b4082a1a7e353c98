/** Responses put together from shared pieces: whatever is cut from them, any gunzip reads it. */
import { createGunzip, crc32, gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { append, toSummand } from '../../../server/carriers/checksum.ts'
import { Compression, Deflater } from '../../../server/carriers/deflate.ts'
import { acceptsGzip, Gzip } from '../../../server/carriers/gzip.ts'
import type { ResponseWire } from '../../../server/carriers/host.ts'
import { createCounters } from '../../../server/observe/counters.ts'
import { join, type Packing } from '../../../server/session/wire.ts'

const plain: Packing = { pack: frame => frame, packAll: frames => [join(frames)] }

/** A response in the hand of the test. */
function createResponse() {
  const written: Buffer[] = []
  const wire: ResponseWire = {
    packing: plain,
    write: packed => void written.push(...packed.map(piece => Buffer.from(piece))),
    bufferedBytes: 0,
    takenBytes: 0,
    cutOff() {},
    end() {},
  }
  return { wire, written, bytes: () => Buffer.concat(written) }
}

function createGzip(options: Parameters<typeof Compression.parse>[0] = {}): Gzip {
  return new Gzip(new Deflater(Compression.parse(options), createCounters()))
}

/** Text that repeats itself now and then, as events do. */
const event = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 200 }),
  fc
    .tuple(fc.string({ minLength: 1 }), fc.integer({ min: 1, max: 400 }))
    .map(([text, times]) => text.repeat(times)),
)

test('any events, in any batches, inflate to the same text, in whole and at each write', async () => {
  const batches = fc.array(fc.array(event, { minLength: 1, maxLength: 8 }), { maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(
      batches,
      fc.integer({ min: 0, max: 2_000 }),
      fc.integer({ min: 1, max: 40 }),
      async (batches, thresholdBytes, cut) => {
        const gzip = createGzip({ thresholdBytes })
        const { wire, written, bytes } = createResponse()
        const response = gzip.wrap(wire)
        const gunzip = createGunzip()
        let seen = ''
        gunzip.setEncoding('utf8').on('data', (text: string) => (seen += text))
        let sent = ''
        for (const batch of batches) {
          const from = written.length
          response.write(response.packing.packAll(batch))
          sent += batch.join('')
          // Cut as a network may; nothing of a write is held back.
          const bytes = Buffer.concat(written.slice(from))
          for (let at = 0; at < bytes.length; at += cut) gunzip.write(bytes.subarray(at, at + cut))
          await new Promise<void>(resolve => gunzip.flush(() => resolve()))
          expect(seen).toBe(sent)
        }
        response.end()
        expect(gunzipSync(bytes()).toString()).toBe(sent)
        gunzip.destroy()
      },
    ),
    { numRuns: 60 },
  )
})

test('a piece is the same in every response, whatever came before it', () => {
  const gzip = createGzip()
  const [early, late] = [createResponse(), createResponse()]
  const first = gzip.wrap(early.wire)
  const second = gzip.wrap(late.wire)
  expect(second.packing).toBe(first.packing)
  first.write([first.packing.pack('only here '.repeat(500))])
  const shared = first.packing.packAll(['to all '.repeat(500)])
  first.write(shared)
  second.write(shared)
  for (const response of [first, second]) response.end()
  const inflated = [early, late].map(({ bytes }) => gunzipSync(bytes()).toString())
  expect(inflated).toEqual(['only here '.repeat(500) + 'to all '.repeat(500), 'to all '.repeat(500)])
  for (const { bytes } of [early, late]) expect(bytes().includes(Buffer.from(join(shared)))).toBe(true)
})

test('what is small, or does not shrink, goes as it is, also where one block cannot hold it', () => {
  const gzip = createGzip({ thresholdBytes: 100 })
  const { wire, bytes } = createResponse()
  const response = gzip.wrap(wire)
  response.write([response.packing.pack('small and readable')])
  expect(bytes().toString('latin1')).toContain('small and readable')
  const noise = Uint8Array.from({ length: 200_000 }, (_, i) => Math.imul(i + 1, 2_654_435_761) >>> 13)
  response.write([response.packing.pack(noise)])
  response.end()
  expect(gunzipSync(bytes()).subarray('small and readable'.length).equals(noise)).toBe(true)
})

test('the checksum of pieces is the checksum of the whole', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3_000 })), pieces => {
      const crc = pieces.reduce((crc, piece) => append(crc, toSummand(piece)), 0)
      expect(crc).toBe(crc32(Buffer.concat(pieces)))
    }),
  )
})

test.each([
  [undefined, false],
  ['', false],
  ['br', false],
  ['gzip', true],
  ['deflate, GZIP', true],
  ['gzip;q=0, *', false],
  ['br;q=1.0, gzip;q=0.5', true],
  ['*', true],
  ['*;q=0', false],
  ['identity', false],
])('a request that accepts %j is answered with gzip: %s', (header, accepted) => {
  expect(acceptsGzip(header)).toBe(accepted)
})
