import { describe, expect, test } from 'vitest'
import {
  everything,
  expectCode,
  numbered,
  offsetsOf,
  onFreshStore,
  record,
  type StoreContractOptions,
} from './subject.ts'

const state = (text: string) => new TextEncoder().encode(text)

export function describeEndings(options: StoreContractOptions): void {
  describe('the life of a log', () => {
    test(
      'ends when it is removed, and the next one has another epoch and starts at 1',
      onFreshStore(options, async store => {
        const { epoch } = await store.append('a', numbered(600))
        await store.saveCheckpoint('a', { epoch, offset: 2, payload: state('folded') })
        await store.remove('a')
        await store.remove('a')
        expect(await store.describe('a')).toBeNull()
        expect(await store.read('a', 0, everything)).toEqual({ state: null, records: [] })
        expect(await store.loadCheckpoint('a')).toBeNull()
        const reborn = await store.append('a', numbered(1), { expectLast: 0 })
        expect(reborn.offsets).toEqual([1])
        expect(reborn.epoch).not.toBe(epoch)
        expect(offsetsOf(await store.read('a', 0, everything))).toEqual([1])
        expect(await store.loadCheckpoint('a')).toBeNull()
      }),
    )

    test(
      'ends at its time, also if nobody touches it',
      onFreshStore(options, async (store, { now, advance }) => {
        const { epoch } = await store.append('a', numbered(2))
        await store.saveCheckpoint('a', { epoch, offset: 2, payload: state('folded') })
        await store.expire('a', now() + 1000)
        await advance(999)
        expect(await store.describe('a')).toMatchObject({ epoch, last: 2 })
        await advance(1)
        expect(await store.describe('a')).toBeNull()
        expect(await store.read('a', 0, everything)).toEqual({ state: null, records: [] })
        expect(await store.loadCheckpoint('a')).toBeNull()
        const reborn = await store.append('a', numbered(1))
        expect(reborn).toMatchObject({ offsets: [1] })
        expect(reborn.epoch).not.toBe(epoch)
        await advance(5000)
        expect(await store.describe('a')).toMatchObject({ epoch: reborn.epoch })
      }),
    )

    test(
      'can be prolonged, cut short, and made endless again',
      onFreshStore(options, async (store, { now, advance }) => {
        for (const log of ['later', 'sooner', 'endless', 'past']) await store.append(log, numbered(1))
        await store.expire('never was', now() + 1)
        await store.expire('later', now() + 1000)
        await store.expire('later', now() + 3000)
        await store.expire('sooner', now() + 3000)
        await store.expire('sooner', now() + 1000)
        await store.expire('endless', now() + 1000)
        await store.expire('endless', Infinity)
        await store.expire('past', now() - 1)
        expect(await store.describe('past')).toBeNull()
        await advance(2000)
        expect(await store.describe('later')).toMatchObject({ last: 1 })
        expect(await store.describe('sooner')).toBeNull()
        await advance(2000)
        expect(await store.describe('later')).toBeNull()
        expect(await store.describe('endless')).toMatchObject({ last: 1 })
      }),
    )
  })

  describe('a checkpoint', () => {
    test(
      'is replaced by a later one, never by an earlier',
      onFreshStore(options, async (store, subject) => {
        const other = await subject.again()
        const { epoch } = await store.append('a', numbered(9))
        await store.saveCheckpoint('a', { epoch, offset: 5, payload: state('five') })
        await other.saveCheckpoint('a', { epoch, offset: 4, payload: state('four') })
        expect(await other.loadCheckpoint('a')).toEqual({ epoch, offset: 5, payload: state('five') })
        await other.saveCheckpoint('a', { epoch, offset: 9, payload: new Uint8Array(0) })
        expect(await store.loadCheckpoint('a')).toEqual({ epoch, offset: 9, payload: new Uint8Array(0) })
      }),
    )

    test(
      'of an earlier life of the log is dropped',
      onFreshStore(options, async store => {
        const { epoch } = await store.append('a', numbered(9))
        await store.remove('a')
        await store.saveCheckpoint('a', { epoch, offset: 9, payload: state('old') })
        await store.append('a', numbered(1))
        await store.saveCheckpoint('a', { epoch, offset: 9, payload: state('old') })
        expect(await store.loadCheckpoint('a')).toBeNull()
      }),
    )

    test(
      'outlives the records that it stands for',
      onFreshStore(options, async store => {
        const { epoch } = await store.append('a', numbered(9))
        await store.saveCheckpoint('a', { epoch, offset: 9, payload: state('nine') })
        await store.trim('a', { maxEvents: 0 })
        expect(await store.loadCheckpoint('a')).toMatchObject({ offset: 9 })
      }),
    )
  })

  describe('closing', () => {
    test(
      'finishes what is under way; later calls are refused',
      onFreshStore(options, async store => {
        const appends = Array.from({ length: 20 }, () => store.append('a', numbered(1)))
        let calls = 0
        store.watch('a', () => (calls += 1))
        const closing = store.close()
        expect(await Promise.all(appends)).toHaveLength(20)
        await closing
        await store.close()
        const callsAtClose = calls
        const later: Array<() => Promise<unknown>> = [
          () => store.append('a', [record('x')]),
          () => store.describe('a'),
          () => store.read('a', 0, everything),
          () => store.readBefore('a', 1, everything),
          () => store.trim('a', { maxEvents: 1 }),
          () => store.remove('a'),
          () => store.expire('a', 0),
          () => store.loadCheckpoint('a'),
          () => store.acquireLease('l', 'me', 1000),
          () => store.releaseLease('l', 'me'),
        ]
        for (const call of later) await expectCode(call(), 'STORE_CLOSED')
        expect(() => store.watch('a', () => {})).toThrow('closed')
        expect(calls).toBe(callsAtClose)
      }),
    )
  })
}
