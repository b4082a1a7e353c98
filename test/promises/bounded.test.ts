/**
 * Promise 3: a connection that does not read costs a fixed amount of memory, whatever is published, its neighbours
 * notice nothing, and when it reads again it has what its policy says, once and in order.
 *
 * `npm run test:stall` does the same with 500 MB and 100 connections, and prints its figures.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFaultProxy } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { Scope } from '../../shared/scope.ts'
import { eventually } from '../kit/deadline.ts'
import { startChild } from '../bench/lib/child.ts'
import type { Command, Measured, Report } from './stall/messages.ts'
import { openers, type OpenReader, type Reader, type Seen } from './stall/readers.ts'

const megabytes = Number(process.env['STALL_MEGABYTES'] ?? 16)
const crowd = Number(process.env['STALL_CLIENTS'] ?? 10)
/** What each may take to come. */
const withinMs = 20_000 + megabytes * 500

const eventBytes = 16 * 1024
/** The least that a crowd is offered: far beyond what the kernel's buffers take from a reader that has stopped. */
const leastMegabytes = 12

async function start(open: OpenReader) {
  const scope = new Scope()
  const path = await mkdtemp(join(tmpdir(), 'sluice-bounded-'))
  scope.defer(() => rm(path, { recursive: true, force: true }))
  const server = scope.use(startChild<Command, Report>('../../promises/stall/server.ts', { args: [path] }))
  const ports = await server.hear('ready')
  const openOne = async (subscription = 'wait', cursor?: string, at = ports) => {
    const reader = await open(at, subscription, cursor)
    scope.defer(() => reader.close())
    return reader
  }
  const healthy = await openOne()
  let published = 0
  return {
    ports,
    healthy,
    open: openOne,
    openMany: (count: number) => Promise.all(Array.from({ length: count }, () => openOne())),
    get published() {
      return published
    },
    /** In bursts, each of which the healthy one has before the next: what it measures is no backlog of its own. */
    async publish(volume: number) {
      const from = healthy.seen.items.length
      for (let left = Math.round((volume * 1024 * 1024) / eventBytes); left > 0; left -= 32) {
        const done = server.hear('published')
        server.tell({ do: 'publish', count: 32, bytes: eventBytes })
        await done
        published += 32
        await healthy.seen.until(published, { withinMs })
      }
      return percentile99(healthy.seen.items.slice(from))
    },
    measure(): Promise<Measured> {
      const measured = server.hear('measured')
      server.tell({ do: 'measure' })
      return measured
    },
    [Symbol.asyncDispose]: () => scope.close(),
  }
}

function percentile99(seen: readonly Seen[]): number {
  const delays = seen.flatMap(one => ('delayMs' in one ? [one.delayMs] : [])).toSorted((a, b) => a - b)
  return delays[Math.floor(delays.length * 0.99)] ?? NaN
}

const mega = (bytes: number) => `${(bytes / 1_000_000).toFixed(2)} MB`

function grown(before: Measured, after: Measured, clients: number): string {
  const anonymous = (after.anonymousBytes ?? NaN) - (before.anonymousBytes ?? NaN)
  const heap = after.heapBytes - before.heapBytes
  return `${clients} stopped: heap and external ${mega(heap)} (${mega(heap / clients)} each), resident ${mega(anonymous)}`
}

async function hasAll(reader: Reader, from: number, to: number): Promise<void> {
  await reader.seen.until(to - from, { withinMs })
  const expected = Array.from({ length: to - from }, (_, i) => from + 1 + i)
  expect(reader.seen.report(expected)).toEqual({
    delivered: to - from,
    missing: [],
    repeated: [],
    outOfOrder: [],
  })
}

for (const [carrier, open] of openers) {
  test(
    `readers that have stopped cost a fixed amount of memory over ${carrier}, and miss nothing`,
    {
      timeout: withinMs * 10,
    },
    async () => {
      await using app = await start(open)
      const alone = await app.publish(Math.min(megabytes, 64))
      const before = await app.measure()

      const begin = app.published
      const first = await app.open()
      first.stop()
      const besideOne = await app.publish(megabytes)
      const withOne = await app.measure()

      const between = app.published
      const many = await app.openMany(crowd)
      for (const reader of many) reader.stop()
      const besideMany = await app.publish(Math.max(leastMegabytes, megabytes / 5))
      const withMany = await app.measure()
      console.log(
        [
          `${carrier}, ${megabytes} MB published:`,
          grown(before, withOne, 1),
          grown(withOne, withMany, crowd),
          `p99 delay of a healthy reader: ${alone.toFixed(1)} ms alone, ${besideOne.toFixed(1)} ms beside one that has stopped, ${besideMany.toFixed(1)} ms beside ${crowd}`,
        ].join('\n  '),
      )
      for (const { seen } of [first, ...many]) expect(seen.numbers.length).toBeLessThan(app.published - begin)
      expect(withOne.heapBytes - before.heapBytes).toBeLessThan(2_000_000)
      expect(withMany.heapBytes - withOne.heapBytes).toBeLessThan(1_500_000 * crowd)

      first.go()
      await hasAll(first, begin, app.published)
      // The others would come as well; a few are enough to know, and the rest only takes time.
      const some = many.slice(0, 3)
      for (const reader of some) reader.go()
      await Promise.all(some.map(reader => hasAll(reader, between, app.published)))
    },
  )

  test(
    `a reader that has stopped over ${carrier} gets what its policy says when it reads again`,
    {
      timeout: withinMs * 4,
    },
    async () => {
      await using app = await start(open)
      const conflate = await app.open('conflate')
      const dropOldest = await app.open('dropOldest')
      const disconnect = await app.open('disconnect')
      await app.publish(1)
      await disconnect.seen.until(app.published)
      for (const reader of [conflate, dropOldest, disconnect]) reader.stop()
      await app.publish(leastMegabytes)
      // A kernel may take more than that for a reader that was quick before it stopped.
      const leftBehind = async () => {
        const { behind, disconnected } = await app.measure()
        return behind + disconnected >= 3
      }
      while (!(await leftBehind())) await app.publish(4)
      await app.publish(4)
      await eventually(async () => (await app.measure()).disconnected === 1)
      for (const reader of [conflate, dropOldest, disconnect]) reader.go()
      const last = app.published
      const isLast = (items: readonly Seen[]) => items.some(item => 'n' in item && item.n === last)

      await Promise.all([conflate, dropOldest].map(({ seen }) => seen.until(isLast, { withinMs })))
      expect(conflate.seen.numbers.length).toBeLessThan(last)
      expect(conflate.seen.report()).toMatchObject({ repeated: [], outOfOrder: [] })
      // The latest of each of the ten keys.
      expect(conflate.seen.numbers).toEqual(
        expect.arrayContaining(Array.from({ length: 10 }, (_, i) => last - i)),
      )

      const { items, numbers } = dropOldest.seen
      expect(dropOldest.seen.report()).toMatchObject({ repeated: [], outOfOrder: [] })
      const dropped = items.reduce((sum, item) => sum + ('dropped' in item ? item.dropped : 0), 0)
      expect(dropped).toBeGreaterThan(0)
      expect(numbers.length + dropped).toBe(last)

      await disconnect.seen.until(seen => seen.some(item => 'ended' in item), { withinMs })
      expect(disconnect.seen.items.at(-1)).toEqual({ ended: 'STALLED' })
      const had = disconnect.seen.numbers.length
      await hasAll(disconnect, 0, had)
      const back = await app.open('wait', disconnect.cursor())
      await hasAll(back, had, last)
    },
  )

  test(
    `a reader of 10 kB/s over ${carrier} costs no more, and misses nothing`,
    {
      timeout: withinMs * 4,
    },
    async () => {
      await using app = await start(open)
      await using proxy = await createFaultProxy({ target: { port: app.ports.port } })
      await using proxy2 = await createFaultProxy({ target: { port: app.ports.port2 } })
      await app.publish(4) // the ring is full
      const begin = app.published
      const slow = await app.open('wait', undefined, {
        ...app.ports,
        port: proxy.port,
        port2: proxy2.port,
      })
      const before = await app.measure()
      for (const one of [proxy, proxy2]) one.slow({ bytesPerSecond: 10_000 })
      await app.publish(leastMegabytes)
      const after = await app.measure()
      expect(after.heapBytes - before.heapBytes).toBeLessThan(2_000_000)
      for (const one of [proxy, proxy2]) one.heal()
      await hasAll(slow, begin, app.published)
    },
  )
}
