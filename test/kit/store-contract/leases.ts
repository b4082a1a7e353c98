import { describe, expect, test } from 'vitest'
import { expectCode, onFreshStore, type StoreContractOptions } from './subject.ts'

export function describeLeases(options: StoreContractOptions): void {
  describe('a lease', () => {
    test(
      'is held by one owner of many who ask at once',
      onFreshStore(options, async (store, subject) => {
        const other = await subject.again()
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, index) =>
            (index % 2 === 0 ? store : other).acquireLease('run', `owner ${index}`, 1000),
          ),
        )
        expect(answers.filter(Boolean)).toHaveLength(1)
        expect(await store.acquireLease('run/2', 'somebody', 1000)).toBe(true)
      }),
    )

    test(
      'lapses unless it is renewed in time',
      onFreshStore(options, async (store, { advance }) => {
        expect(await store.acquireLease('run', 'a', 1000)).toBe(true)
        await advance(600)
        expect(await store.acquireLease('run', 'a', 1000)).toBe(true)
        await advance(600)
        expect(await store.acquireLease('run', 'b', 1000)).toBe(false)
        await advance(400)
        expect(await store.acquireLease('run', 'b', 1000)).toBe(true)
        expect(await store.acquireLease('run', 'a', 1000)).toBe(false)
      }),
    )

    test(
      'can be given back by its owner only',
      onFreshStore(options, async store => {
        await store.acquireLease('run', 'a', 1000)
        await store.releaseLease('run', 'b')
        expect(await store.acquireLease('run', 'b', 1000)).toBe(false)
        await store.releaseLease('run', 'a')
        await store.releaseLease('run', 'a')
        expect(await store.acquireLease('run', 'b', 1000)).toBe(true)
      }),
    )

    test(
      'has a name like a log, in a space of its own',
      onFreshStore(options, async store => {
        await expectCode(store.acquireLease('', 'a', 1000), 'KEY_INVALID')
        await expectCode(store.releaseLease('x'.repeat(401), 'a'), 'KEY_INVALID')
        expect(await store.acquireLease('x'.repeat(400), 'a', 1000)).toBe(true)
        expect(await store.describe('x'.repeat(400))).toBeNull()
      }),
    )
  })
}
