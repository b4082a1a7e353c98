/**
 * The subscriptions of one connection are served in turn: one that floods, be it a generator that never waits or a
 * topic's stream far behind, lets the others pass, however slowly the reader takes what comes; and two that flood have
 * as much of the connection as each other.
 *
 * What comes between two events of one is counted in bytes of the others. The reader is as slow as it is told to be, in
 * turns of the event loop, and begins when the connection is full: the kernel's buffers, and what we put before them.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { initTRPC } from '@trpc/server'
import { createTopic, serve } from 'trpc-sluice/server'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Scope } from '../../../shared/scope.ts'
import { eventually } from '../../kit/deadline.ts'
import { lines, type Arrived, type Asked, type OpenLine } from './line.ts'

const kilobyte = 1024
/** What one history holds: more than is read of it. */
const historyBytes = 32 * kilobyte * kilobyte
/** What a connection may gather in one turn (server/session/outlet.ts). */
const turnBytes = 16 * kilobyte
/** What a topic may push at once (server/topics/batch.ts). */
const batchBytes = 64 * kilobyte
/** Of a message, without the text. */
const headBytes = 256

/** The reader lies still for so many turns between two takings: it is slower than the server. */
const slowness = 8

const floods = {
  generator: 'a generator that never waits',
  history: 'a history that is read from its start',
  recent: 'a history that is at hand',
} as const
type Flood = keyof typeof floods

/** What one flood may put on the wire before it looks whether it is the turn of others: the bound, and what passes it. */
const share = (flood: Flood, bytes: number) =>
  (flood === 'generator' ? turnBytes : batchBytes) * (1 + headBytes / bytes) + bytes + headBytes

async function start() {
  const scope = new Scope()
  const t = initTRPC.create()
  const Event = z.object({ text: z.string() })
  // Hardly anything of it is at hand: it is read page by page.
  const history = createTopic({ name: 'history', event: Event, ringSize: 2 })
  const inMemory = { ringSize: historyBytes, ringBytes: 2 * historyBytes }
  const recent = createTopic({ name: 'recent', event: Event, ...inMemory })
  const small = createTopic({ name: 'small', event: z.object({ n: z.number() }) })
  const input = z.object({ bytes: z.number(), key: z.string() })
  let ticks = 0
  const router = t.router({
    generator: t.procedure.input(input).subscription(async function* ({ input: { bytes }, signal }) {
      const text = 'x'.repeat(bytes)
      while (!signal?.aborted) yield { text }
    }),
    history: t.procedure
      .input(input)
      .subscription(({ input: { key }, signal }) => history.subscribe(key, { from: 'start', signal })),
    recent: t.procedure
      .input(input)
      .subscription(({ input: { key }, signal }) => recent.subscribe(key, { from: 'start', signal })),
    /** Has an event a turn after the one before was taken. */
    ticks: t.procedure.subscription(async function* ({ signal }) {
      while (!signal?.aborted) {
        await turn()
        yield ++ticks
      }
    }),
    small: t.procedure.subscription(({ signal }) => small.subscribe('k', { signal })),
  })
  const served = await serve({ router, port: 0, host: '127.0.0.1' })
  scope.defer(() => served.close())
  const { sluice, port } = served
  let published = 0
  return {
    sluice,
    counts: () => ({ ticks, published }),
    /** One flood, as it is asked for. */
    async flood(path: Flood, bytes: number, key = 'a') {
      const event = { text: 'x'.repeat(bytes) }
      if (path !== 'generator') {
        const topic = { history, recent }[path]
        // Somebody has to be there for whom it is kept at hand.
        const reader = scope.use(topic.subscribe(key))
        const count = Math.floor(historyBytes / bytes)
        await Promise.all(Array.from({ length: count }, () => topic.publish(key, event)))
        for (let read = 0; read < count; read++) await reader.next()
      }
      return { path, input: { bytes, key } }
    },
    /** Has an event of the small topic in each turn until something holds. */
    async publishUntil(fact: () => boolean) {
      for (; !fact(); await turn()) await small.publish('k', { n: ++published })
    },
    open: async (openLine: OpenLine, asked: Asked) => scope.use(await openLine(port, asked)),
    isFull: () => sluice.stats().stalls > 0,
    [Symbol.asyncDispose]: () => scope.close(),
  }
}

const bytesOf = (arrived: readonly Arrived[], id: number) =>
  arrived.reduce((sum, event) => sum + (event.id === id ? event.bytes : 0), 0)

const countOf = (arrived: readonly Arrived[], id: number) => arrived.filter(event => event.id === id).length

/** The most that came of the others between two events of one. */
function longestWait(arrived: readonly Arrived[], one: number): number {
  let longest = 0
  let waited = -Infinity // until its first event
  for (const { id, bytes } of arrived) {
    if (id === one) [longest, waited] = [Math.max(longest, waited), 0]
    else waited += bytes
  }
  return longest
}

for (const [carrier, openLine] of lines) {
  describe(`on ${carrier} whose reader takes slowly`, () => {
    for (const flood of ['generator', 'history', 'recent'] as const) {
      test.each([2, 20, 100])(`${floods[flood]}, of %i kB events, lets small ones pass`, async kilobytes => {
        await using app = await start()
        const bytes = kilobytes * kilobyte
        const asked = [await app.flood(flood, bytes), { path: 'ticks' }, { path: 'small' }]
        const line = await app.open(openLine, asked)
        line.stop()
        await app.publishUntil(app.isFull)
        line.takeSlowly(slowness)
        // As many as there were when it began to take, and some more.
        const { ticks, published } = app.counts()
        await app.publishUntil(
          () => countOf(line.arrived, 2) > ticks + 50 && countOf(line.arrived, 3) > published + 50,
        )
        // A small one is asked for, or published, in one turn, and is there in the next one or the one after that.
        for (const id of [2, 3]) expect(longestWait(line.arrived, id)).toBeLessThan(3 * share(flood, bytes))
      })

      test.each([2, 20, 100])(
        `two of ${floods[flood]}, of %i kB events, have as much of it`,
        async kilobytes => {
          await using app = await start()
          const bytes = kilobytes * kilobyte
          const asked = [await app.flood(flood, bytes, 'a'), await app.flood(flood, bytes, 'b')]
          const line = await app.open(openLine, asked)
          line.stop()
          await eventually(app.isFull)
          line.takeSlowly(slowness)
          const enough = app.sluice.stats().bytesOut + 30 * share(flood, bytes)
          await eventually(() => bytesOf(line.arrived, 1) + bytesOf(line.arrived, 2) > enough)
          const [one, other] = [1, 2].map(id => bytesOf(line.arrived, id)) as [number, number]
          expect(Math.min(one, other) / Math.max(one, other)).toBeGreaterThan(0.8)
          for (const id of [1, 2]) expect(longestWait(line.arrived, id)).toBeLessThan(3 * share(flood, bytes))
        },
      )
    }

    test('floods of different kinds and sizes do not starve each other', async () => {
      await using app = await start()
      const kinds = [
        ['generator', 100],
        ['history', 2],
        ['history', 100],
        ['generator', 2],
      ] as const
      const sizes = kinds.map(([flood, kilobytes]) => [flood, kilobytes * kilobyte] as const)
      const asked = await Promise.all(sizes.map(([flood, bytes]) => app.flood(flood, bytes, String(bytes))))
      const line = await app.open(openLine, asked)
      line.stop()
      await eventually(app.isFull)
      line.takeSlowly(slowness)
      await eventually(() => [1, 2, 3, 4].every(id => countOf(line.arrived, id) > 30))
      const shares = sizes.reduce((sum, [flood, bytes]) => sum + share(flood, bytes), 0)
      for (const id of [1, 2, 3, 4]) expect(longestWait(line.arrived, id)).toBeLessThan(3 * shares)
    })
  })
}
