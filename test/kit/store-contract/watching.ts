import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Store } from '../../../server/stores/store.ts'
import { everything, numbered, offsetsOf, onFreshStore, type StoreContractOptions } from './subject.ts'

/** Follows a log as a hub does: reads on whenever it is called, one read at a time. */
function follow(store: Store, log: string, after: number) {
  const seen: number[] = []
  let reading = false
  let again = false
  let last = after
  const readOn = async () => {
    again = true
    if (reading) return
    reading = true
    while (again) {
      again = false
      const page = await store.read(log, last, { maxEvents: 7, maxBytes: 1_000_000 })
      if (page.records.length > 0) again = true
      seen.push(...offsetsOf(page))
      last = page.records.at(-1)?.offset ?? last
    }
    reading = false
  }
  const stop = store.watch(log, () => void readOn())
  void readOn()
  return { seen, stop }
}

const eventually = (read: () => unknown) => expect.poll(read, { timeout: 10_000, interval: 5 })
const upTo = (last: number, after = 0) =>
  Array.from({ length: last - after }, (_, index) => after + 1 + index)

export function describeWatching(options: StoreContractOptions): void {
  describe('watching', () => {
    test(
      'never calls from within the append or the watch, and calls after the change can be read',
      onFreshStore(options, async store => {
        let inside = true
        const changed = new Promise<number | undefined>((resolve, reject) => {
          store.watch('a', () => {
            if (inside) reject(new Error('called from within'))
            store.describe('a').then(state => state && resolve(state.last), reject)
          })
        })
        const appended = store.append('a', numbered(1))
        inside = false
        await appended
        expect(await changed).toBe(1)
      }),
    )

    test(
      'tells of appends, trims and removals, by whatever way they came',
      onFreshStore(options, async (store, subject) => {
        const other = await subject.again()
        let calls = 0
        store.watch('a', () => (calls += 1))
        const changes = [
          () => store.append('a', numbered(3)),
          () => other.append('a', numbered(3)),
          () => other.trim('a', { maxEvents: 1 }),
          () => other.remove('a'),
        ]
        for (const change of changes) {
          const before = calls
          await change()
          await eventually(() => calls).toBeGreaterThan(before)
        }
      }),
    )

    test(
      'tells of the end of a log that comes by time alone',
      onFreshStore(options, async (store, { now, advance }) => {
        await store.append('a', numbered(1))
        await store.expire('a', now() + 1000)
        let gone = false
        store.watch('a', () => {
          // A call may also be about something else: what counts is that one comes when the log is gone.
          void store.describe('a').then(state => (gone ||= state === null))
        })
        await advance(1000)
        await eventually(() => gone).toBe(true)
      }),
    )

    test(
      'makes one call of many changes at once, and none after it was stopped',
      onFreshStore(options, async store => {
        let calls = 0
        let others = 0
        const stop = store.watch('a', () => (calls += 1))
        store.watch('a', () => (others += 1))
        await Promise.all(Array.from({ length: 50 }, () => store.append('a', numbered(1))))
        await eventually(() => others).toBeGreaterThan(0)
        expect(calls).toBeLessThanOrEqual(50)
        const [stopped, before] = [calls, others]
        const appended = store.append('a', numbered(1))
        stop()
        stop()
        await appended
        await eventually(() => others).toBeGreaterThan(before)
        expect(calls).toBe(stopped)
      }),
    )

    test(
      'from any point on, a reader that reads on with each call misses nothing',
      onFreshStore(options, async (store, subject) => {
        const other = await subject.again()
        let run = 0
        const writers = fc.array(fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 12 }), {
          minLength: 1,
          maxLength: 4,
        })
        const readers = fc.array(fc.nat({ max: 10 }), { minLength: 1, maxLength: 4 })
        await fc.assert(
          fc.asyncProperty(writers, readers, async (writers, readers) => {
            const log = `watched ${++run}`
            const total = writers.flat().reduce((sum, size) => sum + size, 0)
            let appends = 0
            const following: Array<ReturnType<typeof follow>> = []
            const begin = (at: number) => {
              for (const [index, from] of readers.entries()) {
                if (from === at) following.push(follow(index % 2 === 0 ? store : other, log, 0))
              }
            }
            begin(0)
            await Promise.all(
              writers.map(async (sizes, index) => {
                for (const size of sizes) {
                  await (index % 2 === 0 ? other : store).append(log, numbered(size))
                  begin(++appends)
                }
              }),
            )
            for (const { seen, stop } of following) {
              await eventually(() => seen.length).toBe(total)
              expect(seen).toEqual(upTo(total))
              stop()
            }
          }),
          { numRuns: 25 },
        )
      }),
    )

    test(
      'goes on after the watched log was removed and born again',
      onFreshStore(options, async (store, subject) => {
        const other = await subject.again()
        const epochs = new Set<string>()
        store.watch('a', () => {
          void store.read('a', 0, everything).then(({ state }) => state && epochs.add(state.epoch))
        })
        for (let life = 1; life <= 3; life++) {
          await other.append('a', numbered(1))
          await eventually(() => epochs.size).toBe(life)
          await other.remove('a')
        }
      }),
    )
  })
}
