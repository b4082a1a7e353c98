import { describe, expect, test } from 'vitest'
import { addressOfSocket } from '../../../server/carriers/address.ts'
import { isDeeperThan } from '../../../server/procedures/input-depth.ts'
import { Rate, RateLimit } from '../../../server/session/rate.ts'
import { createFakeClock } from '../../kit/fake-clock.ts'

describe('a rate', () => {
  test('gives its burst at once, then so many per second, and never more than the burst', async () => {
    const clock = createFakeClock()
    const rate = new Rate(new RateLimit(10, 20, clock))
    expect([rate.take(20), rate.take(1)]).toEqual([true, false])
    await clock.advance(500)
    expect([rate.take(6), rate.take(5), rate.take(1)]).toEqual([false, true, false])
    await clock.advance(3_600_000)
    expect([rate.take(21), rate.take(20), rate.take(1)]).toEqual([false, true, false])
  })

  test('neither gains nor loses by a clock that is set back', () => {
    let now = 1_000_000
    const rate = new Rate(new RateLimit(10, 20, { ...createFakeClock(), now: () => now }))
    expect(rate.take(20)).toBe(true)
    now = 0
    expect(rate.take(1)).toBe(false)
    now = 100
    expect(rate.take(1)).toBe(true)
  })
})

describe('depth', () => {
  const nest = (levels: number): unknown =>
    JSON.parse('[{"a":'.repeat(levels / 2) + '1' + '}]'.repeat(levels / 2))

  test('is counted in objects and arrays', () => {
    for (const flat of [1, 'text', null, undefined, [], {}, [1, 2], new Uint8Array(1_000)]) {
      expect(isDeeperThan(flat, 1)).toBe(false)
    }
    expect(isDeeperThan(nest(64), 64)).toBe(false)
    expect(isDeeperThan(nest(64), 63)).toBe(true)
    expect(isDeeperThan([1, [2], nest(66)], 64)).toBe(true)
  })

  test('of a circle, and of one object in many places, is found without walking for ever', () => {
    const circle: unknown[] = []
    circle.push(circle, circle)
    expect(isDeeperThan(circle, 64)).toBe(true)
    let doubling: unknown = 1
    for (let level = 0; level < 64; level++) doubling = [doubling, doubling]
    expect(isDeeperThan(doubling, 64)).toBe(false)
    expect(isDeeperThan(doubling, 63)).toBe(true)
  })

  test('is also what references make of it, where that is looked for', () => {
    let doubling: unknown = [1, 1, 1]
    for (let level = 0; level < 9; level++) doubling = [doubling, doubling]
    // Of 3 + 10 values in it: 4 at the bottom, and 1 + 2 times as many at each level.
    const there = 3 + 10
    const followed = 4 * 2 ** 9 + 2 ** 9 - 1
    expect(isDeeperThan(doubling, 64, followed - there)).toBe(false)
    expect(isDeeperThan(doubling, 64, followed - there - 1)).toBe(true)
    expect(isDeeperThan(doubling, 64)).toBe(false)
    const one = [1]
    expect(
      isDeeperThan(
        Array.from({ length: 100_000 }, () => one),
        64,
        99_998,
      ),
    ).toBe(true)
    expect(
      isDeeperThan(
        Array.from({ length: 100_000 }, () => [1]),
        64,
        0,
      ),
    ).toBe(false)
  })

  test('is that of the longest way there is to an object, and each is walked once', () => {
    const below = nest(30)
    expect(isDeeperThan([below, [[below]]], 33)).toBe(false)
    expect(isDeeperThan([below, [[below]]], 32)).toBe(true)
    expect(isDeeperThan([[[below]], below], 32)).toBe(true)
    let walked = 0
    const leaf = {
      get end() {
        walked++
        return 1
      },
    }
    // One list at each of 60 levels.
    let levels: unknown = null
    for (let level = 0; level < 60; level++) levels = [leaf, levels]
    expect(isDeeperThan(levels, 64)).toBe(false)
    expect(walked).toBeLessThan(10)
  })

  test('is found within what is no plain object, too', () => {
    for (const hiding of [
      (value: unknown) => new Map([['a', value]]),
      (value: unknown) => new Map([[value, 'a']]),
      (value: unknown) => new Set([value]),
      (value: unknown) => new Error('e', { cause: value }),
    ]) {
      expect(isDeeperThan(hiding(nest(62)), 63)).toBe(false)
      expect(isDeeperThan(hiding(nest(62)), 62)).toBe(true)
    }
  })
})

test.each([
  ['203.0.113.9', '203.0.113.9'],
  ['2001:db8::1', '2001:db8::1'],
  ['::ffff:203.0.113.9', '::ffff:203.0.113.9'],
  ['127.0.0.1', null],
  ['::1', null],
  ['::ffff:10.1.2.3', null],
  ['192.168.1.1', null],
  ['fd00::1', null],
  [undefined, null],
])('a connection from %s is counted as of %s', (remoteAddress, counted) => {
  // All that is looked at.
  const req = { socket: { remoteAddress } } as Parameters<typeof addressOfSocket>[0]
  expect(addressOfSocket(req)).toBe(counted)
})
