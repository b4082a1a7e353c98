import { memoryStore } from '../../../server/stores/memory.ts'
import type { Store } from '../../../server/stores/store.ts'
import { createTopic } from '../../../server/topics/topic.ts'
import type { Batch } from '../../../server/topics/batch.ts'
import { feedOf } from '../../../server/topics/sink.ts'
import { expect, test, vi } from 'vitest'
import { z } from 'zod'
import { eventually } from '../../kit/deadline.ts'
import { createFakeClock } from '../../kit/fake-clock.ts'

test('those who come back to one place are sent the same batches, up to what came last', async () => {
  const topic = createTopic({ name: 'numbers', event: z.number() })
  const gone = new AbortController()
  const { signal } = gone
  const come = (after?: string, capacity?: number) => {
    const batches: Batch<unknown>[] = []
    const ended = new Promise(resolve =>
      feedOf(topic.subscribe('k', { after, signal }))?.({
        push: batch => void batches.push(batch),
        room: null,
        ...(capacity !== undefined && { capacity }),
        ended: resolve,
      }),
    )
    const seen = () => batches.flatMap(({ envelopes }) => envelopes.map(([, n]) => n))
    return { batches, ended, seen }
  }
  const all: number[] = []
  const publish = async (count: number) => {
    for (let n = 0; n < count; n++) await topic.publish('k', (all[all.length] = all.length + 1))
  }

  const live = come()
  const { id: after } = await topic.publish('k', 0)
  await publish(100)
  await eventually(() => expect(live.seen()).toEqual([0, ...all]))

  const [first, slow, second] = [come(after), come(after, 10), come(after)]
  const back = [first, slow, second]
  await eventually(() => expect(back.map(one => one.seen())).toEqual([all, all, all]))
  expect(first.batches).toHaveLength(2)
  expect(second.batches[0]).toBe(first.batches[0])
  expect(second.batches[1]).toBe(first.batches[1])

  await publish(10)
  const third = come(after)
  back.push(third)
  await eventually(() => expect(back.map(one => one.seen())).toEqual([all, all, all, all]))
  expect(third.batches[0]).toBe(first.batches[0])

  gone.abort()
  await Promise.all([live, ...back].map(({ ended }) => ended))
})

/** From now on the pages that are read of a store, by the offset that they follow. */
function countReads(store: Store): number[] {
  const reads: number[] = []
  const read = store.read.bind(store)
  store.read = (name, after, bounds) => {
    reads.push(after)
    return read(name, after, bounds)
  }
  return reads
}

test('a herd that comes back to a server that was started anew reads each page once, and is sent the same batches', async () => {
  const store = memoryStore()
  const options = { name: 'numbers', event: z.number(), ringSize: 300 }
  const earlier = createTopic({ ...options, store })
  const ids: string[] = []
  for (let n = 1; n <= 700; n++) ids.push((await earlier.publish('k', n)).id)

  const reads = countReads(store)
  const topic = createTopic({ ...options, store })
  const gone = new AbortController()
  const come = (seen: number) => {
    const batches: Batch<unknown>[] = []
    const ended = new Promise(resolve =>
      feedOf(topic.subscribe('k', { after: ids[seen - 1], signal: gone.signal }))?.({
        push: batch => void batches.push(batch),
        room: null,
        ended: resolve,
      }),
    )
    const numbers = () => batches.flatMap(({ envelopes }) => envelopes.map(([, n]) => n))
    return { seen, batches, ended, numbers }
  }
  const all = (seen: number) => Array.from({ length: 700 - seen }, (_, i) => seen + 1 + i)
  const herd = Array.from({ length: 20 }, () => come(600))
  await eventually(() => herd.every(one => one.numbers().length === 100))
  expect(reads).toEqual([600])
  expect(herd.map(one => one.numbers())).toEqual(herd.map(() => all(600)))
  expect(new Set(herd.map(({ batches }) => batches[0])).size).toBe(1)

  // What lies before adjoins what is held, and is kept as far as the ring reaches.
  const farther = come(450)
  await eventually(() => farther.numbers().length === 250)
  expect(farther.numbers()).toEqual(all(450))
  const farthest = come(10)
  await eventually(() => farthest.numbers().length === 690)
  expect(farthest.numbers()).toEqual(all(10))
  reads.length = 0
  const late = [come(450), come(600), come(690)]
  await eventually(() => late.every(one => one.numbers().length === 700 - one.seen))
  expect(late.map(one => one.numbers())).toEqual(late.map(({ seen }) => all(seen)))
  expect(reads).toEqual([])
  gone.abort()
  await Promise.all([...herd, farther, farthest, ...late].map(({ ended }) => ended))
})

/** From now on how many watch a store. */
function countWatchers(store: Store): () => number {
  const watching = new Set<symbol>()
  const watch = store.watch.bind(store)
  store.watch = (name, onChange) => {
    const stop = watch(name, onChange)
    const one = Symbol(name)
    watching.add(one)
    return () => {
      stop()
      watching.delete(one)
    }
  }
  return () => watching.size
}

const soon = () => new Promise(resolve => setImmediate(resolve))

test('a key whose log could not be read when nobody was there any more is held once for those who come, and let go of after them', async () => {
  const clock = createFakeClock()
  const store = memoryStore({ clock })
  const watchers = countWatchers(store)
  const onError = () => {}
  const topic = createTopic({ name: 'numbers', event: z.number(), store, clock, lingerMs: 1_000, onError })
  vi.spyOn(store, 'describe').mockRejectedValueOnce(new Error('The store is away.'))
  await topic.subscribe('k').return()
  await soon() // until it has failed

  const first = topic.subscribe('k')
  await clock.advance(1_000) // the first one would have been let go of by now
  const second = topic.subscribe('k')
  await topic.publish('k', 1)
  for (const stream of [first, second]) expect((await stream.next()).value?.[1]).toBe(1)
  expect(watchers()).toBe(1)

  for (const stream of [first, second]) await stream.return()
  await clock.advance(1_000)
  expect(watchers()).toBe(0)
})

test('who comes to a log that was wiped just now is sent what is published from then on, and nothing of before', async () => {
  const store = memoryStore()
  const topic = createTopic({ name: 'numbers', event: z.number(), store })
  const gone = new AbortController()
  const come = () => {
    const seen: unknown[] = []
    feedOf(topic.subscribe('k', { signal: gone.signal }))?.({
      push: ({ envelopes }) => void seen.push(...envelopes.map(([, n]) => n)),
      room: null,
      ended: () => {},
    })
    return seen
  }
  const early = come()
  await soon()
  await topic.publish('k', 1)
  await store.remove('numbers/k')
  const late = come()
  await soon()
  await topic.publish('k', 2)
  await eventually(() => early.includes(2) && late.includes(2))
  expect(late).toEqual([2])
  gone.abort()
})
