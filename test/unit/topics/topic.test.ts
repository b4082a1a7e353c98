import { memoryStore } from '../../../server/stores/memory.ts'
import type { Store } from '../../../server/stores/store.ts'
import { createTopic } from '../../../server/topics/topic.ts'
import { positionOf } from '../../../server/topics/position.ts'
import { isGap, isSnapshot } from '../../../shared/items.ts'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { eventually } from '../../kit/deadline.ts'

const Numbered = z.object({ n: z.number() })

function numbers(options: { maxEvents?: number; onGap?: 'error' | 'latest'; ringSize?: number } = {}) {
  const store = memoryStore()
  const { maxEvents, ...rest } = options
  const topic = createTopic({
    name: 'numbers',
    event: Numbered,
    store,
    ...(maxEvents && { retain: { maxEvents } }),
    ...rest,
  })
  const publish = async (...ns: number[]) => {
    const ids: string[] = []
    for (const n of ns) ids.push((await topic.publish('k', { n })).id)
    return ids
  }
  return { store, topic, publish }
}

async function take<T>(stream: AsyncIterable<[string, T, unknown]>, count: number): Promise<T[]> {
  const items: T[] = []
  for await (const [, item] of stream) {
    items.push(item)
    if (items.length === count) break
  }
  return items
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

test('a newcomer gets what is published from now on, also before its first next()', async () => {
  const { topic, publish } = numbers()
  await publish(1, 2)
  const stream = topic.subscribe('k')
  await publish(3, 4)
  expect(await take(stream, 2)).toEqual([{ n: 3 }, { n: 4 }])
})

test('a newcomer from the start gets everything that is retained', async () => {
  const { topic, publish } = numbers({ maxEvents: 3 })
  await publish(1, 2, 3, 4, 5)
  expect(await take(topic.subscribe('k', { from: 'start' }), 3)).toEqual([{ n: 3 }, { n: 4 }, { n: 5 }])
})

test('a subscriber resumes after its cursor, from the ring or from the store', async () => {
  for (const ringSize of [1, 4, 1024]) {
    const { topic, publish } = numbers({ ringSize })
    const ids = await publish(...range(1, 600))
    const seen = await take(topic.subscribe('k', { after: ids[9] }), 590)
    expect(seen).toEqual(range(11, 600).map(n => ({ n })))
  }
})

test('a quiet subscription has a position from which it can be resumed', async () => {
  const { topic, publish } = numbers()
  const quiet = topic.subscribe('k')
  const position = await positionOf(quiet)
  await quiet.return()
  await publish(1, 2)
  if (position === null) throw new Error('no position')
  expect(await take(topic.subscribe('k', { after: position }), 2)).toEqual([{ n: 1 }, { n: 2 }])
})

test('a cursor that is garbage, from another log, or from the future is refused with its reason', async () => {
  const { topic, publish } = numbers()
  const [id = ''] = await publish(1)
  const foreign = (await topic.publish('other', { n: 1 })).id
  const future = id.replace(/\.1$/, '.99')
  const reasons = []
  for (const after of ['', 'x', '__proto__', foreign, future, `${id}0000000000000000000`]) {
    const failure = await topic
      .subscribe('k', { after })
      .next()
      .catch((error: unknown) => error)
    reasons.push((failure as { code?: string; data?: { reason?: string } }).data?.reason)
    expect(failure).toMatchObject({ code: 'CURSOR_INVALID' })
  }
  expect(reasons).toEqual(['malformed', 'malformed', 'malformed', 'foreign', 'future', 'malformed'])
})

test('a subscriber whose next events were trimmed gets a GAP error', async () => {
  const { topic, publish } = numbers({ maxEvents: 2, ringSize: 1 })
  const [first = ''] = await publish(1, 2, 3, 4, 5)
  await expect(topic.subscribe('k', { after: first }).next()).rejects.toMatchObject({
    code: 'GAP',
    data: { reason: 'trimmed' },
  })
})

test('under the policy latest it gets a gap item and then what comes', async () => {
  const { topic, publish } = numbers({ maxEvents: 2, ringSize: 1, onGap: 'latest' })
  const [first = ''] = await publish(1, 2, 3, 4, 5)
  const stream = topic.subscribe('k', { after: first })
  const gap = await stream.next()
  expect(isGap(gap.value?.[1])).toBe(true)
  await publish(6)
  expect((await stream.next()).value?.[1]).toEqual({ n: 6 })
})

test('a log that was wiped and born again is a gap, not a silent restart', async () => {
  const { store, topic, publish } = numbers()
  const [id = ''] = await publish(1)
  await store.remove('numbers/k')
  await publish(2)
  await expect(topic.subscribe('k', { after: id }).next()).rejects.toMatchObject({
    code: 'GAP',
    data: { reason: 'reborn' },
  })
})

test('a topic with a fold gives a newcomer one state and then deltas', async () => {
  const store = memoryStore()
  const sum = { initial: 0, step: (total: number, event: { n: number }) => total + event.n }
  const topic = createTopic({
    name: 'sum',
    event: Numbered,
    store,
    fold: sum,
    retain: { maxEvents: 5 },
    checkpointEvery: 3,
  })
  for (const n of range(1, 20)) await topic.publish('k', { n })
  const stream = topic.subscribe('k')
  const first = (await stream.next()).value
  expect(first && isSnapshot(first[1]) && first[1].state).toBe(210)
  await topic.publish('k', { n: 21 })
  expect((await stream.next()).value?.[1]).toEqual({ n: 21 })
  // The state outlives the node that folded it, and what retention has dropped.
  const again = createTopic({ name: 'sum', event: Numbered, store, fold: sum, checkpointEvery: 3 })
  const state = (await again.subscribe('k').next()).value
  expect(state && isSnapshot(state[1]) && state[1].state).toBe(231)
})

test('return() and an aborted signal end a stream that waits', async () => {
  const { topic } = numbers()
  const returned = topic.subscribe('k')
  const waiting = returned.next()
  await returned.return()
  expect(await waiting).toEqual({ done: true, value: undefined })
  const controller = new AbortController()
  const aborted = topic.subscribe('k', { signal: controller.signal }).next()
  controller.abort()
  expect(await aborted).toEqual({ done: true, value: undefined })
})

test('calls of next() that overlap are answered in order', async () => {
  const { topic, publish } = numbers()
  const stream = topic.subscribe('k')
  const answers = range(1, 5).map(() => stream.next())
  await publish(1, 2, 3, 4, 5)
  expect((await Promise.all(answers)).map(answer => answer.value?.[1])).toEqual(range(1, 5).map(n => ({ n })))
})

test('an event that fails the schema is refused and nothing is appended', async () => {
  const { topic } = numbers()
  await expect(topic.publish('k', { n: 'one' as unknown as number })).rejects.toMatchObject({
    code: 'EVENT_INVALID',
  })
  expect((await topic.read('k', { limit: 10 })).events).toEqual([])
})

test('history comes newest page first and joins the live stream without a hole', async () => {
  const { topic, publish } = numbers()
  await publish(...range(1, 25))
  const newest = await topic.read('k', { limit: 10 })
  expect(newest.events.map(({ event }) => event.n)).toEqual(range(16, 25))
  const middle = await topic.read('k', { limit: 10, before: newest.older ?? '' })
  expect(middle.events.map(({ event }) => event.n)).toEqual(range(6, 15))
  const oldest = await topic.read('k', { limit: 10, before: middle.older ?? '' })
  expect(oldest.events.map(({ event }) => event.n)).toEqual(range(1, 5))
  expect(oldest.older).toBe(null)
  await publish(26)
  expect(await take(topic.subscribe('k', { after: newest.end }), 1)).toEqual([{ n: 26 }])
})

test('an idempotency key publishes once', async () => {
  const { topic } = numbers()
  const first = await topic.publish('k', { n: 1 }, { idempotencyKey: 'a' })
  const second = await topic.publish('k', { n: 1 }, { idempotencyKey: 'a' })
  expect(second).toEqual({ id: first.id, duplicate: true })
  expect((await topic.read('k', { limit: 10 })).events).toHaveLength(1)
})

test('events are shared and frozen', async () => {
  const { topic, publish } = numbers()
  const [a, b] = [topic.subscribe('k'), topic.subscribe('k')]
  await publish(1)
  const [x, y] = [(await a.next()).value, (await b.next()).value]
  expect(x).toBe(y)
  expect(Object.isFrozen(x?.[1])).toBe(true)
})

test('a live subscriber sees a burst that is larger than what retention keeps', async () => {
  for (const [maxEvents, count] of [
    [1, 2],
    [1, 50],
    [100, 300],
  ] as const) {
    const { topic, publish } = numbers({ maxEvents })
    const stream = topic.subscribe('k')
    await publish(0)
    expect((await stream.next()).value?.[1]).toEqual({ n: 0 })
    await Promise.all(range(1, count).map(n => topic.publish('k', { n })))
    expect(await take(stream, count)).toEqual(range(1, count).map(n => ({ n })))
  }
})

test('who comes back to a log that keeps only the latest is served from what is at hand', async () => {
  const { topic, publish } = numbers({ maxEvents: 1 })
  const keptReady = topic.subscribe('k')
  const ids = await publish(...range(1, 10))
  await new Promise(resolve => setImmediate(resolve))
  expect(await take(topic.subscribe('k', { after: ids[2] }), 7)).toEqual(range(4, 10).map(n => ({ n })))
  await keptReady.return()
})

describe('a folded state', () => {
  const counted = { initial: { count: 0 }, step: ({ count }: { count: number }) => ({ count: count + 1 }) }
  const createNode = (store: Store) =>
    createTopic({
      name: 'counted',
      event: Numbered,
      store,
      fold: counted,
      retain: { maxEvents: 1 },
      checkpointEvery: 4,
      ringSize: 1,
    })

  test('has seen also what was published while a checkpoint was written', async () => {
    const store = memoryStore()
    let publishMore: (() => Promise<unknown>) | null = null
    const save = store.saveCheckpoint.bind(store)
    // Others publish at the worst moment.
    store.saveCheckpoint = async (...checkpoint) => {
      await save(...checkpoint)
      await publishMore?.()
      publishMore = null
    }
    const node = createNode(store)
    publishMore = () => Promise.all(range(5, 7).map(n => node.publish('k', { n })))
    for (const n of range(1, 4)) await node.publish('k', { n })
    await eventually(async () => (await store.describe('counted/k'))?.first !== 1)
    expect(await take(createNode(store).subscribe('k'), 1)).toEqual([
      { $sluice: 'snapshot', state: { count: 7 } },
    ])
  })

  test('has seen also what another node has trimmed', async () => {
    const store = memoryStore()
    const [one, other] = [createNode(store), createNode(store)]
    await one.publish('k', { n: 1 })
    await take(other.subscribe('k'), 1) // its state is kept from now on
    for (const n of range(2, 9)) await one.publish('k', { n })
    await eventually(async () => ((await store.describe('counted/k'))?.first ?? 0) > 2)
    expect(await take(other.subscribe('k'), 1)).toEqual([{ $sluice: 'snapshot', state: { count: 9 } }])
  })
})

test('who subscribes right after a wipe is new, and is told of no gap', async () => {
  const { store, topic, publish } = numbers()
  const early = topic.subscribe('k')
  await publish(1)
  await early.next()
  await store.remove('numbers/k')
  const seen = take(topic.subscribe('k'), 1)
  await new Promise(resolve => setImmediate(resolve))
  await publish(2)
  expect(await seen).toEqual([{ n: 2 }])
  await early.return()
})
