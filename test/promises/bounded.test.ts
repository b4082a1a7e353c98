/**
 * Promise 3: a connection that does not read costs a fixed amount of memory, whatever is published, its neighbours
 * notice nothing, and when it reads again it has what its policy says, once and in order.
 *
 * `npm run test:stall` does the same with 500 MB and 100 connections, which takes some 20 minutes on two busy cores, and
 * prints its figures: what the server holds, and how long events take to a neighbour that reads. How quick that is, a
 * machine with other things to do does not tell.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFaultProxy } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { parseCursor } from '../../shared/protocol/cursor.ts'
import { Scope } from '../../shared/scope.ts'
import { eventually } from '../kit/deadline.ts'
import { seededRandom } from '../kit/fake-clock.ts'
import { startChild } from '../bench/lib/child.ts'
import type { Command, Measured, Report } from './stall/messages.ts'
import { openers, type OpenReader, type Reader, type Seen } from './stall/readers.ts'

const megabytes = Number(process.env['STALL_MEGABYTES'] ?? 16)
const crowd = Number(process.env['STALL_CLIENTS'] ?? 10)
/** What each may take to come. */
const withinMs = 20_000 + megabytes * 1_000

const eventBytes = 16 * 1024
/** What a crowd may read in all, in megabytes. */
const mostRead = 10_000
/** How many events each of it reads at the least: many times what was on its way to it when it stopped. */
const stretch = 2_560
/** Chooses who of a crowd reads to the end. */
const seed = Number(process.env['STALL_SEED'] ?? Date.now() | 0)
/** The least that those who stop are offered: far beyond what the kernel's buffers take from a reader that has stopped. */
const offered = Math.max(12, megabytes)
/** Before anything stops: enough to fill what fills anyway, and to know what a neighbour has without it. */
const warmUp = Math.min(Math.max(8, megabytes / 8), 64)

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
      return delaysOf(healthy.seen.items.slice(from))
    },
    measure(): Promise<Measured> {
      const measured = server.hear('measured')
      server.tell({ do: 'measure' })
      return measured
    },
    [Symbol.asyncDispose]: () => scope.close(),
  }
}

/** How long events take to a reader, of a hundred of them the fiftieth and the ninety-ninth. */
function delaysOf(seen: readonly Seen[]): string {
  const delays = seen.flatMap(one => ('delayMs' in one ? [one.delayMs] : [])).toSorted((a, b) => a - b)
  const percentile = (share: number) => (delays[Math.floor(delays.length * share)] ?? NaN).toFixed(1)
  return `p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms`
}

const mega = (bytes: number) => `${(bytes / 1_000_000).toFixed(2)} MB`

/** What so many readers cost the server that take nothing, or little. */
function costOf(clients: number, before: Measured, after: Measured): string {
  const heap = after.heapBytes - before.heapBytes
  const anonymous = (after.anonymousBytes ?? NaN) - (before.anonymousBytes ?? NaN)
  const resident = after.residentBytes - before.residentBytes
  return [
    `heap and external ${mega(heap)} more (${mega(heap / clients)} each)`,
    `RSS ${mega(resident)} more, ${mega(after.residentBytes)} in all`,
    `without mapped files ${mega(anonymous)} more`,
  ].join('; ')
}

function print(title: string, lines: Readonly<Record<string, string>>): void {
  const told = Object.entries(lines).map(([what, figures]) => `  ${what}: ${figures}`)
  console.log([title, ...told].join('\n'))
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

/** It goes on where it was, so far; then it is of no further interest. */
async function hasNext(reader: Reader, from: number, count: number): Promise<void> {
  await reader.seen.until(count, { withinMs })
  reader.close()
  const { numbers } = reader.seen
  const to = from + numbers.length
  await hasAll(reader, from, to)
  // Of one log, whose events are numbered as its places are.
  expect(parseCursor(reader.cursor() ?? '').offset).toBe(to)
}

/** All of them, where that does not take too long: 100 of 500 MB each would be half an hour for each carrier. */
function divide(many: readonly Reader[]) {
  const count = Math.floor(mostRead / offered)
  if (many.length <= count) return { toTheEnd: many, others: [], told: 'all of them' }
  const random = seededRandom(seed)
  const shuffled = many.map(reader => ({ reader, at: random() })).toSorted((a, b) => a.at - b.at)
  const readers = shuffled.map(({ reader }) => reader)
  const told = `${count} of them (STALL_SEED=${seed}), the others for ${stretch} events`
  return { toTheEnd: readers.slice(0, count), others: readers.slice(count), told }
}

for (const [carrier, open] of openers) {
  test(
    `readers that have stopped cost a fixed amount of memory over ${carrier}, and miss nothing`,
    {
      timeout: withinMs * 10,
    },
    async () => {
      await using app = await start(open)
      const alone = await app.publish(warmUp)
      const before = await app.measure()

      const begin = app.published
      const first = await app.open()
      first.stop()
      const besideOne = await app.publish(megabytes)
      const withOne = await app.measure()

      const between = app.published
      const many = await app.openMany(crowd)
      for (const reader of many) reader.stop()
      const besideMany = await app.publish(offered)
      const withMany = await app.measure()
      print(`${carrier}: readers that have stopped, while ${megabytes} MB are published`, {
        'one of them': costOf(1, before, withOne),
        [`${crowd} of them`]: costOf(crowd, withOne, withMany),
        'a healthy reader before': alone,
        'beside the one': besideOne,
        [`beside the ${crowd}`]: besideMany,
      })
      for (const { seen } of [first, ...many]) expect(seen.numbers.length).toBeLessThan(app.published - begin)
      expect(withOne.heapBytes - before.heapBytes).toBeLessThan(2_000_000)
      expect(withMany.heapBytes - withOne.heapBytes).toBeLessThan(1_500_000 * crowd)

      first.go()
      await hasAll(first, begin, app.published)
      const { toTheEnd, others, told } = divide(many)
      for (const reader of many) reader.go()
      const [besideReturning] = await Promise.all([
        app.publish(4),
        ...others.map(reader => hasNext(reader, between, stretch)),
      ])
      await Promise.all(toTheEnd.map(reader => hasAll(reader, between, app.published)))
      print(`${carrier}: ${crowd} that read again, each event once and in order`, {
        'to the end': told,
        'a healthy reader beside them': besideReturning,
      })
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
      const alone = await app.publish(warmUp)
      await disconnect.seen.until(app.published)
      const before = await app.measure()
      const stopped = [conflate, dropOldest, disconnect]
      for (const reader of stopped) reader.stop()
      const beside = await app.publish(offered)
      // A kernel may take more than that for a reader that was quick before it stopped.
      const leftBehind = async () => {
        const { behind, disconnected } = await app.measure()
        return behind + disconnected >= 3
      }
      while (!(await leftBehind())) await app.publish(4)
      await app.publish(4)
      await eventually(async () => (await app.measure()).disconnected === 1)
      const after = await app.measure()
      print(`${carrier}: readers with a policy that have stopped, while ${offered} MB are published`, {
        'the three of them': costOf(stopped.length, before, after),
        'a healthy reader before': alone,
        'beside them': beside,
      })
      expect(after.heapBytes - before.heapBytes).toBeLessThan(2_000_000 * stopped.length)
      for (const reader of stopped) reader.go()
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
    `a reader of 10 kB/s over ${carrier} costs no more, and misses nothing when its line is quick again`,
    {
      timeout: withinMs * 4,
    },
    async () => {
      await using app = await start(open)
      await using proxy = await createFaultProxy({ target: { port: app.ports.port } })
      await using proxy2 = await createFaultProxy({ target: { port: app.ports.port2 } })
      const alone = await app.publish(warmUp) // the ring is full
      const begin = app.published
      const slow = await app.open('wait', undefined, {
        ...app.ports,
        port: proxy.port,
        port2: proxy2.port,
      })
      const before = await app.measure()
      for (const one of [proxy, proxy2]) one.slow({ bytesPerSecond: 10_000 })
      const beside = await app.publish(offered)
      const after = await app.measure()
      print(`${carrier}: a reader of 10 kB/s, while ${offered} MB are published`, {
        'it costs': costOf(1, before, after),
        'a healthy reader before': alone,
        'beside it': beside,
      })
      expect(slow.seen.numbers.length).toBeLessThan(app.published - begin)
      expect(after.heapBytes - before.heapBytes).toBeLessThan(2_000_000)
      for (const one of [proxy, proxy2]) one.heal()
      await hasAll(slow, begin, app.published)
    },
  )
}
