import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  betterThan,
  chooseTransport,
  createLadder,
  transportBarred,
  transportFailed,
  transportWorked,
  type Ladder,
} from '../../../client/connection/ladder.ts'
import type { TransportKind } from '../../../client/connection/machine.ts'

const all = createLadder(['websocket', 'stream', 'sse'])

/** The transports of so many attempts that all fail. */
function failing(ladder: Ladder, attempts: number): { readonly kinds: TransportKind[]; ladder: Ladder } {
  const kinds: TransportKind[] = []
  for (let i = 0; i < attempts; i++) {
    kinds.push(chooseTransport(ladder))
    ladder = transportFailed(ladder)
  }
  return { kinds, ladder }
}

test('tries the best twice, and then alternates until something works', () => {
  const { kinds } = failing(all, 7)
  expect(kinds).toEqual(['websocket', 'websocket', 'stream', 'sse', 'websocket', 'stream', 'sse'])
})

test('stays with what worked, and knows what would be better', () => {
  const fallen = transportWorked(failing(all, 2).ladder, 'sse')
  expect(chooseTransport(fallen)).toBe('sse')
  expect(betterThan(fallen, 'sse')).toEqual(['websocket', 'stream'])
  expect(betterThan(fallen, 'websocket')).toEqual([])
})

test('has more patience with what has worked before: servers restart', () => {
  const { kinds } = failing(transportWorked(all, 'websocket'), 8)
  expect(kinds).toEqual([...Array(5).fill('websocket'), 'stream', 'sse', 'websocket'])
})

test('leaves out at once what there is not, until it works after all', () => {
  const barred = transportBarred(transportWorked(all, 'stream'), 'stream')
  if (!barred) throw new Error('there are others')
  expect(failing(barred, 4).kinds).toEqual(['sse', 'websocket', 'sse', 'websocket'])
  expect(chooseTransport(transportWorked(barred, 'stream'))).toBe('stream')
  expect(transportBarred(createLadder(['stream']), 'stream')).toBe(null)
})

test('with one transport there is nothing to choose', () => {
  expect(new Set(failing(createLadder(['sse']), 20).kinds)).toEqual(new Set(['sse']))
})

test('whatever happened before, each transport that is not barred is tried within a few attempts', () => {
  const happening = fc.record({
    what: fc.constantFrom('worked', 'failed', 'barred'),
    kind: fc.constantFrom<TransportKind>('websocket', 'stream', 'sse'),
  })
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 20 }), happenings => {
      let ladder = all
      for (const { what, kind } of happenings) {
        if (what === 'worked') ladder = transportWorked(ladder, kind)
        else if (what === 'failed') ladder = transportFailed(ladder)
        else ladder = transportBarred(ladder, kind) ?? ladder
      }
      const usable = ladder.kinds.filter(kind => !ladder.barred.includes(kind))
      expect(new Set(failing(ladder, 8).kinds)).toEqual(new Set(usable))
    }),
  )
})
