import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLadder, type Ladder } from '../../../client/connection/ladder.ts'
import type { TransportKind } from '../../../client/connection/machine.ts'

const ladderOfAll = () => createLadder(['websocket', 'stream', 'sse'])

const bar = (ladder: Ladder, kind: TransportKind) => ladder.lost(kind, false, { unsupported: true })

/** The transports of so many attempts that all fail. */
function failing(ladder: Ladder, attempts: number): TransportKind[] {
  const kinds: TransportKind[] = []
  for (let i = 0; i < attempts; i++) {
    kinds.push(ladder.choose())
    ladder.lost('websocket', false, {})
  }
  return kinds
}

test('tries the best twice, and then alternates until something works', () => {
  const kinds = failing(ladderOfAll(), 7)
  expect(kinds).toEqual(['websocket', 'websocket', 'stream', 'sse', 'websocket', 'stream', 'sse'])
})

test('stays with what worked', () => {
  const fallen = ladderOfAll()
  failing(fallen, 2)
  fallen.worked('sse')
  expect(fallen.choose()).toBe('sse')
})

test('has more patience with what has worked before: servers restart', () => {
  const ladder = ladderOfAll()
  ladder.worked('websocket')
  expect(failing(ladder, 8)).toEqual([...Array(5).fill('websocket'), 'stream', 'sse', 'websocket'])
})

test('leaves out at once what there is not, until it works after all', () => {
  const ladder = ladderOfAll()
  ladder.worked('stream')
  expect(bar(ladder, 'stream')).toBe(true)
  expect(failing(ladder, 4)).toEqual(['sse', 'websocket', 'sse', 'websocket'])
  ladder.worked('stream')
  expect(ladder.choose()).toBe('stream')
  expect(bar(createLadder(['stream']), 'stream')).toBe(false)
})

test('with one transport there is nothing to choose', () => {
  expect(new Set(failing(createLadder(['sse']), 20))).toEqual(new Set(['sse']))
})

test('whatever happened before, each transport that is not barred is tried within a few attempts', () => {
  const happening = fc.record({
    what: fc.constantFrom('worked', 'failed', 'barred'),
    kind: fc.constantFrom<TransportKind>('websocket', 'stream', 'sse'),
  })
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 20 }), happenings => {
      const ladder = ladderOfAll()
      const usable = new Set<TransportKind>(['websocket', 'stream', 'sse'])
      for (const { what, kind } of happenings) {
        if (what === 'worked') {
          ladder.worked(kind)
          usable.add(kind)
        } else if (what === 'failed') ladder.lost(kind, false, {})
        else if (bar(ladder, kind)) usable.delete(kind)
      }
      expect(new Set(failing(ladder, 8))).toEqual(usable)
    }),
  )
})
