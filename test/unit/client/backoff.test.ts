import { expect, test } from 'vitest'
import { backoffMs, defaultBackoff } from '../../../client/connection/backoff.ts'
import { seededRandom } from '../../kit/index.ts'

test('spreads the clients of one cut evenly from nothing to a bound that doubles up to the cap', () => {
  const random = seededRandom(7)
  for (const [attempt, bound] of [
    [0, 500],
    [1, 1_000],
    [3, 4_000],
    [9, 30_000],
    [2_000, 30_000],
  ] as const) {
    const delays = Array.from({ length: 4_000 }, () => backoffMs(attempt, defaultBackoff, random()))
    expect(Math.max(...delays)).toBeLessThanOrEqual(bound)
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(0)
    // Even: each tenth of the span gets its tenth, give or take.
    for (let tenth = 0; tenth < 10; tenth++) {
      const inIt = delays.filter(ms => Math.floor((ms / bound) * 10) === tenth).length
      expect(inIt).toBeGreaterThan(300)
      expect(inIt).toBeLessThan(500)
    }
  }
})
