import { createTopic } from 'trpc-sluice/server'
import { createFakeClock } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { feedOf, type Feeding } from '../../../server/topics/sink.ts'
import { createTally } from '../../../server/topics/tally.ts'

const Price = z.object({ symbol: z.string(), price: z.number() })

function prices(ringSize?: number) {
  const clock = createFakeClock()
  const topic = createTopic({ name: 'prices', event: Price, clock, ...(ringSize && { ringSize }) })
  const publish = async (...events: [symbol: string, price: number][]) => {
    for (const [symbol, price] of events) await topic.publish('all', { symbol, price })
  }
  return { clock, topic, publish }
}

async function take<T>(stream: AsyncIterable<readonly [string, T, unknown]>, count: number): Promise<T[]> {
  const items: T[] = []
  for await (const [, item] of stream) if (items.push(item) === count) break
  return items
}

test('a reader that is behind gets the latest of each key, in the order of the latest', async () => {
  const { topic, publish } = prices()
  const stream = topic.subscribe('all', { whenSlow: { policy: 'conflate', by: ({ symbol }) => symbol } })
  await publish(['A', 1], ['B', 1], ['A', 2], ['C', 1], ['A', 3])
  const seen = (await take(stream, 3)).map(item => `${item.symbol}${item.price}`)
  expect(seen).toEqual(['B1', 'C1', 'A3'])
})

test('a reader that keeps up gets every event, conflated or not', async () => {
  const { topic, publish } = prices()
  const stream = topic.subscribe('all', { whenSlow: { policy: 'conflate', by: ({ symbol }) => symbol } })
  for (const price of [1, 2, 3]) {
    await publish(['A', price])
    expect((await stream.next()).value?.[1]).toEqual({ symbol: 'A', price })
  }
})

test('drop-oldest keeps the latest events and says how many it has dropped', async () => {
  const { topic, publish } = prices()
  const stream = topic.subscribe('all', { whenSlow: { policy: 'drop-oldest', maxLag: 2 } })
  await publish(['A', 1], ['A', 2], ['A', 3], ['A', 4], ['A', 5])
  await new Promise(resolve => setImmediate(resolve)) // until the hub knows of all of them
  const seen = await take(stream, 3)
  expect(seen).toEqual([
    { $sluice: 'gap', reason: 'dropped', dropped: 3 },
    { symbol: 'A', price: 4 },
    { symbol: 'A', price: 5 },
  ])
})

test('the first events of a log take nothing from a reader that waits for them', async () => {
  const { topic, publish } = prices()
  const policies = [
    { policy: 'conflate', by: (event: { symbol: string }) => event.symbol },
    { policy: 'drop-oldest', maxLag: 1 },
  ] as const
  const seen: unknown[][] = []
  const streams = policies.map((whenSlow, i) => {
    const stream = topic.subscribe('all', { whenSlow })
    const push = (batch: { readonly envelopes: readonly (readonly [string, unknown, unknown])[] }) => {
      seen[i] = [...(seen[i] ?? []), ...batch.envelopes.map(([, item]) => item)]
    }
    feedOf(stream)?.({ push, room: null, ended: () => {} })
    return stream
  })
  await new Promise(resolve => setImmediate(resolve)) // until they wait
  await Promise.all([1, 2, 3].map(price => publish(['A', price])))
  await new Promise(resolve => setImmediate(resolve)) // until the hub has pushed them
  for (const stream of streams) await stream.return()
  const all = [1, 2, 3].map(price => ({ symbol: 'A', price }))
  expect(seen).toEqual([all, all])
})

test('drop-oldest drops what was read ahead for a reader that has not taken it', async () => {
  const { topic, publish } = prices(1)
  await publish(['A', 1], ['A', 2], ['A', 3])
  const whenSlow = { policy: 'drop-oldest', maxLag: 2 } as const
  const stream = topic.subscribe('all', { from: 'start', whenSlow })[Symbol.asyncIterator]()
  const next = async () => (await stream.next()).value?.[1]
  expect(await next()).toEqual({ $sluice: 'gap', reason: 'dropped', dropped: 1 })
  expect(await next()).toEqual({ symbol: 'A', price: 2 }) // from the store, and with it what follows
  await publish(['A', 4], ['A', 5], ['A', 6])
  await new Promise(resolve => setImmediate(resolve)) // until the hub knows of them
  expect(await next()).toEqual({ $sluice: 'gap', reason: 'dropped', dropped: 2 })
  expect(await next()).toEqual({ symbol: 'A', price: 5 })
  await stream.return?.()
})

test('a connection that takes nothing ends the subscription after its time, and not before', async () => {
  const { clock, topic } = prices()
  const stream = topic.subscribe('all', { whenSlow: { policy: 'disconnect', afterMs: 1000 } })
  const ended = new Promise(resolve =>
    feedOf(stream)?.({ push: () => {}, room: new Promise(() => {}), ended: resolve }),
  )
  await clock.advance(999)
  expect(await Promise.race([ended, 'running'])).toBe('running')
  await clock.advance(1)
  expect(await ended).toMatchObject({ thrown: { code: 'STALLED' } })
})

test('a connection that takes some of what waits has its time anew, and what others send on it does not count', async () => {
  const { clock, topic } = prices()
  const stream = topic.subscribe('all', { whenSlow: { policy: 'disconnect', afterMs: 1000 } })
  const outgoing = { bufferedBytes: 100, takenBytes: 40 }
  const ended = new Promise(resolve =>
    feedOf(stream)?.({ push: () => {}, room: new Promise(() => {}), outgoing, ended: resolve }),
  )
  const isRunning = async () => (await Promise.race([ended, 'running'])) === 'running'
  await clock.advance(900)
  outgoing.takenBytes = 139
  await clock.advance(900)
  expect(await isRunning()).toBe(true)
  outgoing.takenBytes = 140 // the last of them, which is seen at the next look, a quarter of its time later at the most
  for (let ms = 1_800; ms < 2_999; ms++) {
    await clock.advance(1)
    outgoing.takenBytes += 10
  }
  expect(await isRunning()).toBe(true)
  await clock.advance(1)
  expect(await ended).toMatchObject({ thrown: { code: 'STALLED' } })
})

test('what a reader does not get because it was slow is counted by its policy', async () => {
  const { topic, publish } = prices()
  const tally = createTally()
  const policies = [
    { policy: 'conflate', by: (event: { symbol: string }) => event.symbol },
    { policy: 'drop-oldest', maxLag: 2 },
  ] as const
  let makeRoom = () => {}
  const room = new Promise<void>(resolve => (makeRoom = resolve))
  const streams = policies.map(whenSlow => topic.subscribe('all', { whenSlow }))
  const feeding: Feeding[] = []
  const fedBy = (one: Feeding) => void feeding.push(one)
  const fed = streams.map(
    stream => new Promise(ended => feedOf(stream)?.({ push: () => {}, room, tally, fedBy, ended })),
  )
  await publish(['A', 1], ['A', 2], ['A', 3], ['B', 1], ['A', 4])
  await new Promise(resolve => setImmediate(resolve)) // until the hub knows of all of them
  expect(feeding.map(({ live, lag }) => [live, lag])).toEqual([
    [false, 5],
    [false, 5],
  ])
  makeRoom()
  await new Promise(resolve => setImmediate(resolve)) // until they have taken what there is
  for (const stream of streams) await stream.return()
  await Promise.all(fed)
  expect(tally.dropped).toEqual({ conflate: 3, dropOldest: 3 })
})

test('a bound that makes no sense is refused at once', () => {
  const { topic } = prices()
  expect(() => topic.subscribe('all', { whenSlow: { policy: 'drop-oldest', maxLag: 0 } })).toThrow(
    'maxLag is 0',
  )
  expect(() => topic.subscribe('all', { whenSlow: { policy: 'disconnect', afterMs: Number.NaN } })).toThrow(
    'afterMs',
  )
})
