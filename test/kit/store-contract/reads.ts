import { describe, expect, test } from 'vitest'
import {
  everything,
  numbered,
  offsetsOf,
  onFreshStore,
  record,
  type StoreContractOptions,
} from './subject.ts'

export function describeReads(options: StoreContractOptions): void {
  describe('reading', () => {
    test(
      'of a log that never was gives nothing',
      onFreshStore(options, async store => {
        expect(await store.describe('a')).toBeNull()
        expect(await store.read('a', 0, everything)).toEqual({ state: null, records: [] })
        expect(await store.readBefore('a', 10, everything)).toEqual({ state: null, records: [] })
        expect(await store.loadCheckpoint('a')).toBeNull()
      }),
    )

    test(
      'forward stops at the number of events and at the bytes, but gives one record at least',
      onFreshStore(options, async store => {
        await store.append(
          'a',
          Array.from({ length: 10 }, () => record('ten bytes.')),
        )
        const read = async (after: number, maxEvents: number, maxBytes: number) =>
          offsetsOf(await store.read('a', after, { maxEvents, maxBytes }))
        expect(await read(0, 3, 1000)).toEqual([1, 2, 3])
        expect(await read(7, 100, 1000)).toEqual([8, 9, 10])
        // The third begins at byte 20, within 25; the fourth at 30, beyond.
        expect(await read(0, 100, 25)).toEqual([1, 2, 3])
        expect(await read(0, 100, 20)).toEqual([1, 2])
        expect(await read(4, 100, 1)).toEqual([5])
        expect(await read(4, 1, 0)).toEqual([5])
        expect(await read(10, 100, 1000)).toEqual([])
        expect(await read(1000, 100, 1000)).toEqual([])
      }),
    )

    test(
      'backward gives the newest before an offset, oldest first',
      onFreshStore(options, async store => {
        await store.append(
          'a',
          Array.from({ length: 10 }, () => record('ten bytes.')),
        )
        const read = async (before: number, maxEvents: number, maxBytes: number) =>
          offsetsOf(await store.readBefore('a', before, { maxEvents, maxBytes }))
        expect(await read(11, 3, 1000)).toEqual([8, 9, 10])
        expect(await read(8, 3, 1000)).toEqual([5, 6, 7])
        expect(await read(3, 100, 1000)).toEqual([1, 2])
        expect(await read(11, 100, 25)).toEqual([8, 9, 10])
        expect(await read(11, 100, 1)).toEqual([10])
        expect(await read(1, 100, 1000)).toEqual([])
        expect(await read(0, 100, 1000)).toEqual([])
        expect(await read(Infinity, 2, 1000)).toEqual([9, 10])
      }),
    )

    test(
      'tells the state of the same moment as the records, also while others write',
      onFreshStore(options, async (store, subject) => {
        const other = await subject.again()
        let writing = true
        const writer = (async () => {
          for (let round = 0; round < 150; round++) {
            await other.append('a', numbered(2), { retain: { maxEvents: 5 } })
          }
          writing = false
        })()
        let pages = 0
        while (writing || pages === 0) {
          await new Promise(setImmediate)
          const { state, records } = await store.read('a', 0, everything)
          if (!state) continue
          pages += 1
          const whole = Array.from(
            { length: state.last - state.first + 1 },
            (_, index) => state.first + index,
          )
          expect(offsetsOf({ state, records })).toEqual(whole)
        }
        await writer
      }),
    )

    test(
      'describes a log: its epoch, first and last offset',
      onFreshStore(options, async store => {
        const { epoch } = await store.append('a', numbered(3))
        expect(epoch).toMatch(/^[0-9a-z]{4,32}$/)
        expect(await store.describe('a')).toEqual({ epoch, first: 1, last: 3 })
        expect((await store.append('a', numbered(1))).epoch).toBe(epoch)
        expect((await store.read('a', 0, everything)).state).toEqual({ epoch, first: 1, last: 4 })
      }),
    )
  })
}
