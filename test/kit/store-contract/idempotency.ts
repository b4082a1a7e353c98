import { describe, expect, test } from 'vitest'
import {
  everything,
  expectCode,
  numbered,
  onFreshStore,
  record,
  textsOf,
  type StoreContractOptions,
} from './subject.ts'

export function describeIdempotency(options: StoreContractOptions): void {
  describe('an idempotency key', () => {
    test(
      'appends once, and answers again with the first offset',
      onFreshStore(options, async (store, subject) => {
        const other = await subject.again()
        const once = record('once', { idempotencyKey: 'k' })
        const first = await store.append('a', [once])
        await store.append('a', numbered(1))
        expect(await other.append('a', [once])).toEqual({ ...first, duplicates: [true] })
        const mixed = await store.append('a', [record('x'), once, record('y', { idempotencyKey: 'l' })])
        expect(mixed).toMatchObject({ offsets: [3, 1, 4], duplicates: [false, true, false] })
        expect(textsOf(await store.read('a', 0, everything))).toEqual(['once', '1', 'x', 'y'])
      }),
    )

    test(
      'appends once when it stands twice in one batch, and when many send it at once',
      onFreshStore(options, async (store, subject) => {
        const other = await subject.again()
        const twice = await store.append('a', [
          record('first', { idempotencyKey: 'k' }),
          record('second', { idempotencyKey: 'k' }),
          record('third'),
        ])
        expect(twice).toMatchObject({ offsets: [1, 1, 2], duplicates: [false, true, false] })
        const results = await Promise.all(
          Array.from({ length: 20 }, (_, index) =>
            (index % 2 === 0 ? store : other).append('a', [record('many', { idempotencyKey: 'm' })]),
          ),
        )
        expect(new Set(results.flatMap(({ offsets }) => offsets))).toEqual(new Set([3]))
        expect(results.filter(({ duplicates }) => duplicates[0] === false)).toHaveLength(1)
        expect(textsOf(await store.read('a', 0, everything))).toEqual(['first', 'third', 'many'])
      }),
    )

    test(
      'lets a retried compare-and-append succeed like the first try',
      onFreshStore(options, async store => {
        const batch = [record('x', { idempotencyKey: '1' }), record('y', { idempotencyKey: '2' })]
        const first = await store.append('a', batch, { expectLast: 0 })
        const again = await store.append('a', batch, { expectLast: 0 })
        expect(again).toEqual({ ...first, duplicates: [true, true] })
        await expectCode(store.append('a', [...batch, record('new')], { expectLast: 0 }), 'CONFLICT')
        expect((await store.describe('a'))?.last).toBe(2)
      }),
    )

    test(
      'is forgotten after its window, and counts from then on',
      onFreshStore(options, async (store, { advance }) => {
        const append = async (dedupWindowMs: number) =>
          (await store.append('a', [record('x', { idempotencyKey: 'k' })], { dedupWindowMs })).offsets
        expect(await append(1000)).toEqual([1])
        await advance(600)
        expect(await append(1000)).toEqual([1])
        await advance(600)
        expect(await append(1000)).toEqual([2])
        await advance(600)
        expect(await append(1000)).toEqual([2])
      }),
    )

    test(
      'has a window of its own, whatever those before it have',
      onFreshStore(options, async (store, { advance }) => {
        const append = async (idempotencyKey: string, dedupWindowMs: number) =>
          (await store.append('a', [record('x', { idempotencyKey })], { dedupWindowMs })).offsets
        expect(await append('long', 5000)).toEqual([1])
        expect(await append('short', 1000)).toEqual([2])
        await advance(2000)
        expect(await append('long', 5000)).toEqual([1])
        expect(await append('short', 1000)).toEqual([3])
      }),
    )

    test(
      'belongs to its log, and to one life of it',
      onFreshStore(options, async store => {
        const once = record('once', { idempotencyKey: 'k' })
        await store.append('a', [once])
        expect((await store.append('a/b', [once])).duplicates).toEqual([false])
        await store.remove('a')
        expect((await store.append('a', [once])).duplicates).toEqual([false])
      }),
    )

    test(
      'is remembered also when its record has been dropped',
      onFreshStore(options, async store => {
        const once = record('once', { idempotencyKey: 'k' })
        await store.append('a', [once])
        await store.append('a', numbered(5), { retain: { maxEvents: 1 } })
        expect(await store.append('a', [once])).toMatchObject({ offsets: [1], duplicates: [true] })
      }),
    )
  })
}
