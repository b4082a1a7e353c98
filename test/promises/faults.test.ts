/**
 * Promise 1 (complete, ordered, once) under random faults: a seeded schedule of publishes, cuts, stalls, slow links,
 * restarts and networks that forbid WebSockets, over each carrier and over all mixed, as `auto` takes them; at the end
 * every subscriber must have seen every event, once, in order.
 *
 * A failure prints its schedule, its seed and its path; `npm run test:faults -- --seed <seed>` replays the run.
 */
import { initTRPC } from '@trpc/server'
import fc from 'fast-check'
import superjson from 'superjson'
import { createTopic, memoryStore, resumable } from 'trpc-sluice/server'
import { createHarness } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { inject, just, networkFaults, type NetworkFault } from '../support/network-faults.ts'

type Fault =
  | NetworkFault
  | { do: 'publish'; count: number }
  | { do: 'offline' }
  | { do: 'online' }
  | { do: 'restart' }
  | { do: 'join' }
  | { do: 'catchUp' }

const fault: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: just('publish'), count: fc.integer({ min: 1, max: 30 }) }) },
  ...networkFaults({ longestPauseMs: 40 }),
  { weight: 1, arbitrary: fc.record({ do: just('offline') }) },
  { weight: 1, arbitrary: fc.record({ do: just('online') }) },
  { weight: 2, arbitrary: fc.record({ do: just('restart') }) },
  { weight: 1, arbitrary: fc.record({ do: just('join') }) },
  { weight: 2, arbitrary: fc.record({ do: just('catchUp') }) },
)

const schedules = fc.record({
  ringSize: fc.constantFrom(4, 1024),
  faults: fc.array(fault, { minLength: 4, maxLength: 20, size: 'max' }),
})

const transports = ['websocket', 'stream', 'sse', 'auto'] as const
const numRuns = Math.ceil(Number(process.env['FAULT_SCHEDULES'] ?? 500) / transports.length)
const seed = process.env['FAULT_SEED'] === undefined ? Date.now() | 0 : Number(process.env['FAULT_SEED'])

const t = initTRPC.create({ transformer: superjson })

/** Quick enough that a stall is noticed and overcome within a schedule. */
const impatient = {
  heartbeatMs: 60,
  heartbeatTimeoutMs: 60,
  connectTimeoutMs: 250,
  backoff: { baseMs: 2, maxMs: 20 },
  climbAfterMs: 30,
}

/** What a run has been through, to see that it was put to the test. */
interface Tally {
  faults: number
  connections: number
  delivered: number
}

async function play(
  transport: (typeof transports)[number],
  { ringSize, faults }: { ringSize: number; faults: readonly Fault[] },
  tally: Tally,
): Promise<void> {
  // The store outlives the server: what a durable one does on disk, this one does in the process of the test.
  const topic = createTopic({ name: 'n', event: z.object({ n: z.number() }), store: memoryStore(), ringSize })
  const router = t.router({
    onNumber: t.procedure
      .input(resumable())
      .subscription(({ input, signal }) =>
        topic.subscribe('k', { after: input.lastEventId, from: 'start', signal }),
      ),
  })
  await using app = await createHarness({
    router,
    transformer: superjson,
    transport,
    link: impatient,
    sluice: { keepAlive: { enabled: true, pingMs: 100, pongWaitMs: 100 } },
  })
  const clients: (typeof app.link)[] = []
  const join = () => {
    const { link, record } = app.connect()
    clients.push(link)
    return record(client => client.onNumber, {})
  }
  const everyone = [join(), join()]
  let published = 0
  const caughtUp = () => Promise.all(everyone.map(seen => seen.until(published, { withinMs: 15_000 })))

  for (const fault of faults) {
    switch (fault.do) {
      case 'publish':
        for (let i = 0; i < fault.count; i++) await topic.publish('k', { n: ++published })
        break
      case 'offline':
        app.proxy.refuse()
        await app.proxy.cut()
        break
      case 'online':
        app.proxy.accept()
        for (const { connection } of clients) connection.wake()
        break
      case 'restart':
        await app.restart()
        break
      case 'join':
        everyone.push(join())
        break
      case 'catchUp':
        app.proxy.heal()
        await caughtUp()
        break
      default: {
        const injected = inject(fault, app.proxy)
        // A cut in mid-frame waits for a frame to cut, which need not come by itself.
        if (fault.do === 'cut' && fault.midFrame) await topic.publish('k', { n: ++published })
        await injected
      }
    }
  }
  app.proxy.heal()
  await topic.publish('k', { n: ++published })
  await caughtUp()
  for (const seen of everyone) {
    expect(seen.report(published)).toEqual({
      delivered: published,
      missing: [],
      repeated: [],
      outOfOrder: [],
    })
    tally.delivered += published
  }
  tally.faults += faults.filter(({ do: what }) => what !== 'publish' && what !== 'pause').length
  tally.connections += app.proxy.accepted
}

for (const transport of transports) {
  test.concurrent(
    `over ${transport}, every subscriber sees every event once and in order, whatever breaks`,
    { timeout: 0 },
    async () => {
      const tally = { faults: 0, connections: 0, delivered: 0 }
      console.log(`${numRuns} schedules over ${transport}; replay with --seed ${seed}`)
      await fc.assert(
        fc.asyncProperty(schedules, schedule => play(transport, schedule, tally)),
        // A schedule that fails takes its time: to look for a shorter one would take hours.
        { numRuns, seed, endOnFailure: true },
      )
      console.log(
        `${transport}: ${tally.faults} faults, ${tally.connections} connections, ${tally.delivered} events delivered`,
      )
    },
  )
}
