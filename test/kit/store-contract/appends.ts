import { describe, expect, test } from 'vitest'
import type { Epoch } from '../../../shared/protocol/cursor.ts'
import {
  everything,
  expectCode,
  numbered,
  offsetsOf,
  onFreshStore,
  record,
  textsOf,
  type StoreContractOptions,
} from './subject.ts'

export function describeAppends(options: StoreContractOptions): void {
  describe('appending', () => {
    test(
      'counts from 1, by one with each record',
      onFreshStore(options, async store => {
        expect(await store.append('a', numbered(2))).toMatchObject({
          offsets: [1, 2],
          duplicates: [false, false],
        })
        expect((await store.append('a', numbered(1, 3))).offsets).toEqual([3])
        expect(textsOf(await store.read('a', 0, everything))).toEqual(['1', '2', '3'])
      }),
    )

    test(
      'leaves no hole and gives no offset twice, whoever writes at once',
      onFreshStore(options, async (store, subject) => {
        const other = await subject.again()
        const sizes = Array.from({ length: 120 }, (_, index) => (index % 4) + 1)
        const batches = await Promise.all(
          sizes.map(async (size, index) => {
            const texts = Array.from({ length: size }, (_, place) => `${index}.${place}`)
            const writer = index % 2 === 0 ? store : other
            const { offsets } = await writer.append(
              'a',
              texts.map(text => record(text)),
            )
            return { texts, offsets }
          }),
        )
        const total = sizes.reduce((sum, size) => sum + size, 0)
        const page = await store.read('a', 0, everything)
        expect(offsetsOf(page)).toEqual(Array.from({ length: total }, (_, index) => index + 1))
        const texts = textsOf(page)
        for (const batch of batches) {
          const [first = 0] = batch.offsets
          expect(batch.offsets).toEqual(batch.texts.map((_, place) => first + place))
          expect(texts.slice(first - 1, first - 1 + batch.texts.length)).toEqual(batch.texts)
        }
      }),
    )

    test(
      'is seen by every read that starts after it, also by another way in',
      onFreshStore(options, async (store, subject) => {
        const other = await subject.again()
        for (let round = 1; round <= 20; round++) {
          await store.append('a', numbered(1, round))
          expect((await other.describe('a'))?.last).toBe(round)
          expect(textsOf(await other.read('a', round - 1, everything))).toEqual([String(round)])
        }
      }),
    )

    test(
      'on an expected last offset succeeds for one of many, and appends nothing for the others',
      onFreshStore(options, async (store, subject) => {
        const other = await subject.again()
        for (let last = 0; last < 5; last++) {
          const tries = Array.from({ length: 10 }, (_, index) =>
            (index % 2 === 0 ? store : other).append('a', [record(`try ${index}`)], { expectLast: last }),
          )
          const outcomes = await Promise.allSettled(tries)
          expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
          expect((await store.describe('a'))?.last).toBe(last + 1)
        }
        const error = await expectCode(
          store.append('a', numbered(2), { expectLast: 3, retain: { maxEvents: 1 } }),
          'CONFLICT',
        )
        expect(error.data).toMatchObject({ last: 5, expected: 3 })
        expect(await store.describe('a')).toMatchObject({ first: 1, last: 5 })
        await expectCode(store.append('new', numbered(1), { expectLast: 1 }), 'CONFLICT')
        expect(await store.describe('new')).toBeNull()
      }),
    )

    test(
      'keeps bytes as they are: none, all values, and a mebibyte',
      onFreshStore(options, async (store, subject) => {
        const payloads = [
          new Uint8Array(0),
          Uint8Array.from({ length: 256 }, (_, index) => index),
          Uint8Array.from({ length: 1024 * 1024 }, (_, index) => (index * 31) % 251),
        ]
        const at = subject.now()
        await store.append(
          'a',
          payloads.map(payload => ({ payload, at })),
        )
        const { records } = await store.read('a', 0, everything)
        expect(records.map(found => found.at)).toEqual([at, at, at])
        for (const [index, { payload }] of records.entries()) {
          expect(Object.getPrototypeOf(payload)).toBe(Uint8Array.prototype)
          expect(Buffer.compare(payload, payloads[index] ?? new Uint8Array(1))).toBe(0)
        }
      }),
    )

    test(
      'takes a copy at once, and reads give copies: nobody can change what was written',
      onFreshStore(options, async store => {
        const payload = Uint8Array.of(1, 2, 3)
        const appended = store.append('a', [record('', { payload })])
        payload.fill(9)
        await appended
        const first = await store.read('a', 0, everything)
        first.records[0]?.payload.fill(8)
        const second = await store.read('a', 0, everything)
        expect(second.records[0]?.payload).toEqual(Uint8Array.of(1, 2, 3))
        // Bytes once read stay as they are, whatever the engine does with its memory.
        for (let round = 0; round < 20; round++) await store.append('b', numbered(10))
        expect(second.records[0]?.payload).toEqual(Uint8Array.of(1, 2, 3))
      }),
    )

    test(
      'keeps logs apart whose names are odd, or begin with one another',
      onFreshStore(options, async store => {
        const names = ['a', 'a/b', 'a\u0001', 'a\u0001b', 'a:1', 'A', 'ä', 'a\u0308', ' ', '', '日本', '🙂']
        const logs = [
          ...names.filter(name => name !== ''),
          '\uffff',
          '__proto__',
          'x'.repeat(400),
          'x'.repeat(399),
        ]
        for (const log of logs) await store.append(log, [record(log), record('second')])
        const epochs = new Set<Epoch | undefined>()
        for (const log of logs) {
          const page = await store.read(log, 0, everything)
          expect(textsOf(page)).toEqual([log, 'second'])
          epochs.add(page.state?.epoch)
        }
        expect(epochs.size).toBe(logs.length)
        await store.remove('a')
        await store.trim('a\u0001', { maxEvents: 0 })
        expect(await store.describe('a')).toBeNull()
        expect(textsOf(await store.read('a\u0001', 0, everything))).toEqual([])
        for (const log of logs.filter(name => name !== 'a' && name !== 'a\u0001')) {
          expect(textsOf(await store.read(log, 0, everything))).toEqual([log, 'second'])
        }
      }),
    )

    test(
      'refuses names that not every engine can keep, and batches of nothing',
      onFreshStore(options, async store => {
        for (const log of ['', 'a\0b', 'x'.repeat(401), 'é'.repeat(201), '\ud800']) {
          await expectCode(store.append(log, numbered(1)), 'KEY_INVALID')
          await expectCode(store.read(log, 0, everything), 'KEY_INVALID')
          expect(() => store.watch(log, () => {})).toThrow('The name of a log')
        }
        for (const idempotencyKey of ['', 'k'.repeat(201), 'k\0']) {
          await expectCode(store.append('a', [record('', { idempotencyKey })]), 'KEY_INVALID')
        }
        await expect(store.append('a', [])).rejects.toThrow(RangeError)
        await expect(store.append('a', [record('', { at: Number.NaN })])).rejects.toThrow(RangeError)
        expect(await store.describe('a')).toBeNull()
      }),
    )
  })
}
