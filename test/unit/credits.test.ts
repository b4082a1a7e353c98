import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Credits } from '../../server/session/credits.ts'

const window = { events: 100, bytes: 1024 * 1024 }

test('room ends with the events, and comes back when some of them are taken', async () => {
  const credits = new Credits({ ...window, events: 2 })
  credits.spend(1, 10)
  expect([credits.room, credits.left]).toEqual([null, 1])
  credits.spend(1, 10)
  const { room } = credits
  expect(room).not.toBeNull()
  expect(credits.left).toBe(0)
  credits.grant(1)
  await room
  expect([credits.room, credits.left]).toEqual([null, 1])
})

test('room ends with the bytes, whatever is left of the events', () => {
  const credits = new Credits({ ...window, bytes: 1_000_000 })
  credits.spend(1, 600_000)
  expect(credits.room).toBeNull()
  credits.spend(1, 600_000)
  expect(credits.room).not.toBeNull()
  credits.grant(1)
  expect(credits.room).toBeNull()
})

test('more than was sent cannot be taken: the window does not grow', () => {
  const credits = new Credits(window)
  credits.spend(1, 10)
  credits.grant(1_000)
  expect(credits.left).toBe(window.events)
})

test('whoever waits is let go when the subscription is over', async () => {
  const credits = new Credits({ ...window, events: 1 })
  credits.spend(1, 10)
  const { room } = credits
  credits.close()
  await room
  expect(credits.room).toBeNull()
  credits.spend(1, 10) // its last words
  expect(credits.room).toBeNull()
})

/** Batches as they are sent, and how many of the events on their way are taken after each. */
const steps = fc.array(
  fc.record({
    sizes: fc.array(fc.nat({ max: 40_000 }), { minLength: 1, maxLength: 64 }),
    taken: fc.nat({ max: 80 }),
  }),
  { maxLength: 200 },
)

test('whatever is sent and taken, the window is kept to the event, and to the byte but for a batch', () => {
  fc.assert(
    fc.property(steps, script => {
      const credits = new Credits(window)
      const onTheirWay: number[] = []
      let largest = 0
      for (const { sizes, taken } of script) {
        if (!credits.room) {
          const batch = sizes.slice(0, credits.left)
          const bytes = batch.reduce((sum, size) => sum + size, 0)
          largest = Math.max(largest, bytes)
          credits.spend(batch.length, bytes)
          onTheirWay.push(...batch)
        }
        expect(onTheirWay.length).toBeLessThanOrEqual(window.events)
        const bytes = onTheirWay.reduce((sum, size) => sum + size, 0)
        // One batch was sent while there was a byte left, and one is taken in part.
        expect(bytes).toBeLessThanOrEqual(window.bytes + 2 * Math.max(largest, 16 * 1024))
        credits.grant(onTheirWay.splice(0, taken).length)
      }
      credits.grant(onTheirWay.length)
      expect(credits.room).toBeNull()
      expect(credits.left).toBe(window.events)
      // All of the bytes have come back as well: a last event of the window's size is just too much.
      credits.spend(1, window.bytes - 1)
      expect(credits.room).toBeNull()
      credits.spend(1, 1)
      expect(credits.room).not.toBeNull()
    }),
    { numRuns: 500 },
  )
})
