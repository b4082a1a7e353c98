import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  bestAgainAfterMs,
  chooseTransport,
  createLadder,
  transportFailed,
  transportWorked,
  type Ladder,
} from '../../../client/connection/ladder.ts'
import type { TransportKind } from '../../../client/connection/machine.ts'

const both = createLadder(['websocket', 'sse'])

/** The transports of so many attempts that all fail. */
function failing(
  ladder: Ladder,
  attempts: number,
  now = 0,
): { readonly kinds: TransportKind[]; ladder: Ladder } {
  const kinds: TransportKind[] = []
  for (let i = 0; i < attempts; i++) {
    const kind = chooseTransport(ladder, now)
    kinds.push(kind)
    ladder = transportFailed(ladder, kind, now)
  }
  return { kinds, ladder }
}

test('tries the WebSocket twice, and then alternates until something works', () => {
  expect(failing(both, 6).kinds).toEqual(['websocket', 'websocket', 'sse', 'websocket', 'sse', 'websocket'])
})

test('stays with what worked, and tries the best again after five minutes, once', () => {
  const fallen = transportWorked(failing(both, 2).ladder, 'sse', 1_000)
  expect(chooseTransport(fallen, 2_000)).toBe('sse')
  expect(chooseTransport(fallen, 1_000 + bestAgainAfterMs - 1)).toBe('sse')
  const later = 1_000 + bestAgainAfterMs
  expect(chooseTransport(fallen, later)).toBe('websocket')
  const failedAgain = transportFailed(fallen, 'websocket', later)
  expect(chooseTransport(failedAgain, later)).toBe('sse')
  const worksOn = transportWorked(failedAgain, 'sse', later)
  expect(chooseTransport(worksOn, later + bestAgainAfterMs - 1)).toBe('sse')
  expect(chooseTransport(worksOn, later + bestAgainAfterMs)).toBe('websocket')
})

test('has more patience with a WebSocket that has worked before: servers restart', () => {
  const proven = transportWorked(both, 'websocket', 0)
  expect(failing(proven, 7).kinds).toEqual([...Array(5).fill('websocket'), 'sse', 'websocket'])
})

test('with one transport there is nothing to choose', () => {
  expect(new Set(failing(createLadder(['sse']), 20).kinds)).toEqual(new Set(['sse']))
})

test('whatever happened before, either transport is tried within a few attempts', () => {
  const happening = fc.record({
    worked: fc.boolean(),
    kind: fc.constantFrom<TransportKind>('websocket', 'sse'),
    afterMs: fc.nat(bestAgainAfterMs),
  })
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 20 }), happenings => {
      let ladder = both
      let now = 0
      for (const { worked, kind, afterMs } of happenings) {
        now += afterMs
        ladder = worked ? transportWorked(ladder, kind, now) : transportFailed(ladder, kind, now)
      }
      expect(new Set(failing(ladder, 7, now).kinds).size).toBe(2)
    }),
  )
})
