/**
 * Promise 1 (complete, ordered, once) in a real Chromium under random faults: a seeded schedule of publishes, cuts,
 * stalls, slow links, restarts, networks that forbid WebSockets or streams, a browser that is offline, and tabs that
 * are hidden, frozen, reloaded, or closed and opened again; over each carrier, over all mixed, and with tabs that share
 * a connection. At the end every tab must have seen every event, once, in order, in all of its lives together.
 *
 * A seed stands for one schedule, carrier included: a failure prints both, and how to play that one again.
 * `npm run test:faults` plays 500 of them.
 */
import fc from 'fast-check'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Listening } from '../support/listen.ts'
import { inject, just, networkFaults, type NetworkFault } from '../support/network-faults.ts'
import { openBrowser } from './kit/browser.ts'
import { startLonePage } from './kit/page-server.ts'
import { Readers } from './kit/readers.ts'
import { startReadingServer, type StreamBan } from './kit/reading-server.ts'

type Fault =
  | NetworkFault
  | { do: 'publish'; count: number }
  | { do: 'restart' }
  | { do: 'banStreams'; answer: StreamBan }
  | { do: 'offline' | 'online' | 'thaw' | 'join' | 'catchUp' }
  | { do: 'reload' | 'replace' | 'freeze' | 'show'; tab: number }

const ofTab = <What extends string>(what: What) => fc.record({ do: just(what), tab: fc.nat({ max: 2 }) })

/** @param bans what may be answered to the request for a stream. */
const faultsWith = (bans: readonly StreamBan[]): fc.Arbitrary<Fault> =>
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: just('publish'), count: fc.integer({ min: 1, max: 30 }) }) },
    ...networkFaults({ longestPauseMs: 150 }),
    { weight: 2, arbitrary: fc.record({ do: just('restart') }) },
    ...bans.map(answer => ({ weight: 1, arbitrary: fc.constant({ do: 'banStreams', answer } as const) })),
    { weight: 2, arbitrary: fc.record({ do: just('offline') }) },
    { weight: 2, arbitrary: fc.record({ do: just('online') }) },
    { weight: 1, arbitrary: ofTab('reload') },
    { weight: 2, arbitrary: ofTab('replace') },
    { weight: 1, arbitrary: ofTab('freeze') },
    { weight: 1, arbitrary: fc.record({ do: just('thaw') }) },
    { weight: 1, arbitrary: ofTab('show') },
    { weight: 1, arbitrary: fc.record({ do: just('join') }) },
    { weight: 2, arbitrary: fc.record({ do: just('catchUp') }) },
  )

interface Schedule {
  /** 4: what a reader that was away needs has mostly left the ring, and comes from the store. */
  readonly ringSize: number
  readonly faults: readonly Fault[]
}

const ways: readonly Way[] = [
  { name: 'websocket', address: { transport: 'websocket' }, bans: [] },
  // Where there is nothing else, a 403 is for good.
  { name: 'stream', address: { transport: 'stream' }, bans: [503, 'drop'] },
  { name: 'sse', address: { transport: 'sse' }, bans: [] },
  { name: 'all mixed', address: { transport: 'auto' }, bans: [403, 503, 'drop'] },
  {
    name: 'one connection for all tabs',
    address: { transport: 'auto', shared: '' },
    bans: [403, 503, 'drop'],
  },
]

interface Way {
  readonly name: string
  /** What the page is told. */
  readonly address: Readonly<Record<string, string>>
  readonly bans: readonly StreamBan[]
}

function scheduleOf(seed: number, { bans }: Way): Schedule {
  const schedules = fc.record({
    ringSize: fc.constantFrom(4, 1024),
    faults: fc.array(faultsWith(bans), { minLength: 4, maxLength: 20, size: 'max' }),
  })
  const [schedule] = fc.sample(schedules, { seed, numRuns: 1, unbiased: true })
  return schedule as Schedule // one was asked for
}

const count = Number(process.env['FAULT_SCHEDULES'] ?? 15)
const firstSeed = Number(process.env['FAULT_SEED'] ?? Date.now() % 2 ** 31)
const seeds = Array.from({ length: count }, (_, i) => firstSeed + i)

let browser: Browser
let page: Listening
beforeAll(async () => {
  browser = await openBrowser()
  page = await startLonePage('reader.ts')
})
afterAll(async () => {
  await page[Symbol.asyncDispose]()
  await browser.close()
})

/** What a run has been through, to see that it was put to the test, and what came of it. */
const createTally = () => ({
  schedules: 0,
  faults: {} as Record<string, number>,
  connections: 0,
  tabs: 0,
  delivered: 0,
  missing: 0,
  repeated: 0,
  outOfOrder: 0,
})

async function play(
  address: Readonly<Record<string, string>>,
  { ringSize, faults }: Schedule,
  tally: ReturnType<typeof createTally>,
): Promise<void> {
  await using server = await startReadingServer({ ringSize })
  await using readers = await Readers.open(browser, page.url, { ...address, router: server.routerUrl })
  await readers.begin()
  await server.publish()
  await readers.until(1) // from now on each has a place to come back to

  for (const fault of faults) {
    switch (fault.do) {
      case 'publish':
        await server.publish(fault.count)
        break
      case 'restart':
        await server.restart()
        break
      case 'banStreams':
        server.forbidStreams(fault.answer)
        break
      case 'heal':
        server.heal()
        break
      case 'offline':
        // Chromium lets the responses go on that are open then; a network that is gone does not.
        server.proxy.stall()
        await readers.setOffline(true)
        break
      case 'online':
        server.proxy.resume()
        await readers.setOffline(false)
        break
      case 'reload':
        await readers.reload(fault.tab)
        break
      case 'replace':
        await readers.replace(fault.tab)
        break
      case 'freeze':
        await readers.freeze(fault.tab)
        break
      case 'show':
        await readers.show(fault.tab)
        break
      case 'thaw':
        await readers.thaw()
        break
      case 'join':
        await readers.join(server.beginning)
        break
      case 'catchUp':
        server.heal()
        await readers.until(server.published)
        break
      default: {
        const injected = inject(fault, server.proxy)
        // A cut in mid-frame waits for a frame to cut, which need not come by itself.
        if (fault.do === 'cut' && fault.midFrame) await server.publish()
        await injected
      }
    }
  }
  server.heal()
  await server.publish()
  await readers.until(server.published)

  const reports = await readers.report(server.published)
  tally.schedules += 1
  for (const fault of faults) tally.faults[nameOf(fault)] = (tally.faults[nameOf(fault)] ?? 0) + 1
  tally.connections += server.proxy.accepted
  tally.tabs += readers.opened
  for (const { delivered, missing, repeated, outOfOrder } of reports) {
    tally.delivered += delivered
    tally.missing += missing.length
    tally.repeated += repeated.length
    tally.outOfOrder += outOfOrder.length
  }
  const complete = { delivered: server.published, missing: [], repeated: [], outOfOrder: [], errors: [] }
  expect(reports).toEqual(reports.map(() => complete))
  await readers.close()
  await server.left()
}

function nameOf(fault: Fault): string {
  if (fault.do !== 'cut') return fault.do
  return `cut by ${fault.how}${fault.midFrame ? ' in mid-frame' : ''}`
}

console.log(`${count} schedules, from seed ${firstSeed} on`)
for (const [index, way] of ways.entries()) {
  test.concurrent(`over ${way.name}, every tab sees every event once and in order, whatever breaks`, async () => {
    const tally = createTally()
    for (const seed of seeds.filter(seed => Math.abs(seed) % ways.length === index)) {
      const schedule = scheduleOf(seed, way)
      await play(way.address, schedule, tally).catch((error: unknown) => {
        const again = `FAULT_SEED=${seed} FAULT_SCHEDULES=1 npx vitest run --project browser schedules`
        throw new Error(`${again}\nover ${way.name}: ${JSON.stringify(schedule)}`, { cause: error })
      })
    }
    console.log(`${way.name}: ${JSON.stringify(tally)}`)
  })
}
