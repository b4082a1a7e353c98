/**
 * Trap 15 of DESIGN.md section 8 from the client's side: health is what was received, and a line that is open may be
 * dead. The other way round, a line that is quiet need not be. The server's side is in server.test.ts beside this file.
 */
import { createFakeClock, createHarness, eventually, type FakeClock } from 'trpc-sluice/testing'
import { describe, expect, test } from 'vitest'
import { carriers, createNumbers, t, whileAway } from './app.ts'

/** How long a client waits for a sign of life, 40 s in all, and then until it comes back. */
const patience = { heartbeatMs: 30_000, heartbeatTimeoutMs: 10_000, retryDelayMs: () => 10 }

const complete = (delivered: number) => ({ delivered, missing: [], repeated: [], outOfOrder: [] })

interface ReaderOptions {
  readonly clock?: FakeClock
  /** What the client's link is given in its place. */
  readonly seenAs?: (clock: FakeClock) => FakeClock
  readonly numbers?: Parameters<typeof createNumbers>[0]
}

/** Somebody who has begun to follow numbers, and waits for a dead line as patiently as said above. */
async function startReader(
  transport: (typeof carriers)[number],
  { clock = createFakeClock(), seenAs = clock => clock, numbers }: ReaderOptions = {},
) {
  const { router, asked, publish } = createNumbers(numbers)
  const app = await createHarness({ router, transport, link: { ...patience, clock: seenAs(clock) } })
  const seen = app.record(client => client.onNumber, {})
  await seen.started
  return { app, clock, seen, asked, publish, [Symbol.asyncDispose]: () => app.close() }
}

describe.each(carriers)('over %s', transport => {
  test('health is what was received: a line that is open and dead is noticed (trap 15)', async () => {
    await using reader = await startReader(transport)
    const { app, clock, seen, publish } = reader
    await publish(1)
    await seen.until(1)
    app.proxy.stall()
    await publish(2)
    await clock.advance(39_000)
    expect(app.link.connection.get().at).toBe('ready')
    expect(app.proxy.connections).toBe(1)
    await clock.advance(1_000)
    expect(app.link.connection.get()).toMatchObject({ at: 'waiting', why: { code: 'SILENT_PEER' } })
    app.proxy.resume()
    await clock.advance(10)
    await seen.until(2)
    expect(seen.report(2)).toEqual(complete(2))
  })

  test('a line that dies after a resume is noticed before the first ping (trap 15)', async () => {
    await using reader = await startReader(transport)
    const { app, clock, seen, asked, publish } = reader
    await publish(1)
    await seen.until(1)
    await whileAway(app.proxy, async () => {
      await eventually(() => app.link.connection.get().at === 'waiting')
      await publish(2)
    })
    await clock.advance(10)
    await seen.until(2)
    expect(asked).toHaveLength(2)
    app.proxy.stall()
    await publish(3)
    await clock.advance(40_000)
    expect(app.link.connection.get()).toMatchObject({ at: 'waiting', why: { code: 'SILENT_PEER' } })
    app.proxy.resume()
    await clock.advance(10)
    await seen.until(3)
    expect(seen.report(3)).toEqual(complete(3))
  })

  test('a line that dies is noticed also where a generator of the app knows no position (trap 15)', async () => {
    const own = t.procedure.subscription(async function* ({ signal }) {
      yield 1
      await new Promise(resolve => signal?.addEventListener('abort', resolve))
    })
    const clock = createFakeClock()
    const router = t.router({ own })
    await using app = await createHarness({ router, transport, link: { ...patience, clock } })
    const seen = app.record(client => client.own)
    await seen.until(items => items.length === 1)
    app.proxy.stall()
    await clock.advance(40_000)
    expect(app.link.connection.get()).toMatchObject({ at: 'waiting', why: { code: 'SILENT_PEER' } })
  })
})

/** As a browser treats the timers of a hidden tab: they fire once a minute, all together. */
function hiddenTab(clock: FakeClock): FakeClock {
  const minute = 60_000
  return {
    ...clock,
    get next() {
      return clock.next
    },
    get pending() {
      return clock.pending
    },
    after(ms, fire, options) {
      const due = Math.ceil((clock.now() + ms) / minute) * minute
      return clock.after(due - clock.now(), fire, options)
    },
  }
}

describe.each(carriers)('in a hidden tab, over %s', transport => {
  const hour = 60

  test('a dead line is noticed two minutes later than elsewhere, at the most (trap 15)', async () => {
    await using reader = await startReader(transport, {
      clock: createFakeClock({ now: 25_000 }),
      seenAs: hiddenTab,
    })
    const { app, clock, seen, publish } = reader
    const { connection } = app.link
    const noticed = new Promise(resolve => {
      connection.subscribe(() => {
        const state = connection.get()
        if (state.at === 'waiting') resolve({ code: state.why.code, at: clock.now() })
      })
    })
    app.proxy.stall()
    await publish(1)
    await clock.advance(40_000 + 2 * 60_000)
    expect(await noticed).toEqual({ code: 'SILENT_PEER', at: 120_000 })
    app.proxy.resume()
    connection.wake()
    await seen.until(1)
  })

  test('a line that lives is never taken for dead, however late the timers are', async () => {
    await using reader = await startReader(transport, { seenAs: hiddenTab })
    const { clock, seen, asked, publish } = reader
    for (let minute = 1; minute <= hour; minute++) {
      await publish(minute)
      await seen.until(minute)
      await clock.advance(60_000)
    }
    expect(asked).toHaveLength(1)
    expect(seen.report(hour)).toEqual(complete(hour))
  })
})

describe('over sse', () => {
  test('a stream whose app has switched pings off may be quiet, and is not taken for dead (trap 15)', async () => {
    await using reader = await startReader('sse', { numbers: { sse: { ping: { enabled: false } } } })
    const { app, clock, seen, asked, publish } = reader
    await clock.advance(3_600_000)
    expect(app.link.connection.get()).toMatchObject({ at: 'ready', since: 0 })
    await publish(1)
    await seen.until(1)
    expect(asked).toHaveLength(1)
  })

  test('pings rarer than the client would wait are waited for, and missed when they do not come (trap 15)', async () => {
    await using reader = await startReader('sse', {
      numbers: { sse: { ping: { enabled: true, intervalMs: 60_000 } } },
    })
    const { app, clock } = reader
    await clock.advance(69_999)
    expect(app.link.connection.get()).toMatchObject({ at: 'ready', since: 0 })
    await clock.advance(1)
    expect(app.link.connection.get()).toMatchObject({ at: 'waiting', why: { code: 'SILENT_PEER' } })
  })

  test('a server that falls silent before it has accepted is given up after the time to connect (trap 15)', async () => {
    const { router, publish } = createNumbers()
    const clock = createFakeClock()
    const link = { ...patience, clock, connectTimeoutMs: 5_000 }
    await using app = await createHarness({ router, transport: 'sse', link })
    app.proxy.stall()
    const seen = app.record(client => client.onNumber, {})
    await eventually(() => app.proxy.connections === 1)
    await clock.advance(5_000)
    expect(app.link.connection.get()).toMatchObject({ at: 'waiting', why: { code: 'CONNECTION_LOST' } })
    app.proxy.resume()
    await clock.advance(10)
    await seen.started
    await publish(1)
    await seen.until(1)
  })
})
