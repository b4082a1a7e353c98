import { describe, expect, test } from 'vitest'
import {
  everything,
  numbered,
  offsetsOf,
  onFreshStore,
  record,
  type StoreContractOptions,
} from './subject.ts'

export function describeRetention(options: StoreContractOptions): void {
  describe('retention', () => {
    test(
      'by number keeps the newest, in the step of the append',
      onFreshStore(options, async store => {
        for (let round = 1; round <= 10; round++) {
          await store.append('a', numbered(3), { retain: { maxEvents: 4 } })
          expect(await store.describe('a')).toMatchObject({
            first: Math.max(1, round * 3 - 3),
            last: round * 3,
          })
        }
        await store.trim('a', { maxEvents: 1 })
        expect(offsetsOf(await store.read('a', 0, everything))).toEqual([30])
      }),
    )

    test(
      'leaves epoch and last offset when nothing is left, and appends go on from there',
      onFreshStore(options, async store => {
        const { epoch } = await store.append('a', numbered(3))
        await store.trim('a', { maxEvents: 0 })
        expect(await store.describe('a')).toEqual({ epoch, first: 4, last: 3 })
        expect(await store.read('a', 0, everything)).toEqual({
          state: { epoch, first: 4, last: 3 },
          records: [],
        })
        expect(await store.append('a', numbered(1), { expectLast: 3 })).toMatchObject({ epoch, offsets: [4] })
        expect(await store.describe('a')).toEqual({ epoch, first: 4, last: 4 })
      }),
    )

    test(
      'by number leaves alone what a given checkpoint does not cover',
      onFreshStore(options, async store => {
        const { epoch } = await store.append('a', numbered(10))
        const { epoch: other } = await store.append('b', numbered(1))
        for (const [covered, first] of [
          [{ epoch, offset: 0 }, 1],
          [{ epoch: other, offset: 4 }, 1],
          [{ epoch, offset: 4 }, 5],
          [{ epoch, offset: 20 }, 9],
        ] as const) {
          await store.trim('a', { maxEvents: 2 }, covered)
          expect(await store.describe('a')).toMatchObject({ first, last: 10 })
        }
      }),
    )

    test(
      'lets reading start at the first retained record',
      onFreshStore(options, async store => {
        await store.append('a', numbered(10), { retain: { maxEvents: 3 } })
        for (const after of [0, 3, 7]) {
          expect(offsetsOf(await store.read('a', after, everything))).toEqual([8, 9, 10])
        }
        expect(offsetsOf(await store.read('a', 8, everything))).toEqual([9, 10])
        expect(offsetsOf(await store.readBefore('a', 9, everything))).toEqual([8])
        expect(offsetsOf(await store.readBefore('a', 8, everything))).toEqual([])
      }),
    )

    test(
      'by age goes on while nobody touches the log',
      onFreshStore(options, async (store, { now, advance }) => {
        const retain = { maxAgeMs: 1000 }
        await store.append('a', [record('1', { at: now() })], { retain })
        await advance(600)
        await store.append('a', [record('2', { at: now() })])
        expect(await store.describe('a')).toMatchObject({ first: 1, last: 2 })
        await advance(600)
        expect(await store.describe('a')).toMatchObject({ first: 2, last: 2 })
        expect(offsetsOf(await store.read('a', 0, everything))).toEqual([2])
        await advance(600)
        expect(await store.describe('a')).toMatchObject({ first: 3, last: 2 })
        expect(offsetsOf(await store.readBefore('a', 100, everything))).toEqual([])
        // It goes on for what comes after, also when all had gone in the meantime.
        await store.append('b', numbered(1))
        await store.append('a', [record('3', { at: now() })])
        expect(await store.describe('a')).toMatchObject({ first: 3, last: 3 })
        await advance(1200)
        expect(await store.describe('a')).toMatchObject({ first: 4, last: 3 })
      }),
    )

    test(
      'by age drops a whole backlog at once, and drops from the front only',
      onFreshStore(options, async (store, { now, advance }) => {
        const old = Array.from({ length: 1000 }, () => record('old', { at: now() }))
        await store.append('a', old, { retain: { maxAgeMs: 1000 } })
        await advance(900)
        // A writer whose clock is behind: its record is old at birth, but stands behind a younger one.
        await store.append('a', [record('young', { at: now() }), record('late', { at: now() - 5000 })])
        // The young one is now exactly as old as may be.
        await advance(1000)
        expect(await store.describe('a')).toMatchObject({ first: 1001, last: 1002 })
        await store.append('b', numbered(1))
        expect(offsetsOf(await store.read('a', 0, everything))).toEqual([1001, 1002])
        await advance(1)
        expect(await store.describe('a')).toMatchObject({ first: 1003, last: 1002 })
      }),
    )

    test(
      'given last is the one that counts',
      onFreshStore(options, async (store, { now, advance }) => {
        await store.append('a', [record('1', { at: now() })], { retain: { maxAgeMs: 1000 } })
        await store.append('b', [record('1', { at: now() })])
        await store.trim('a', { maxEvents: 10 })
        await store.trim('b', { maxAgeMs: 1000 })
        await advance(5000)
        expect(await store.describe('a')).toMatchObject({ first: 1, last: 1 })
        expect(await store.describe('b')).toMatchObject({ first: 2, last: 1 })
      }),
    )
  })
}
