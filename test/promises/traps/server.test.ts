/**
 * The traps of DESIGN.md section 8 that a server falls into, each sprung over real sockets. The client's are in
 * client.test.ts beside this file; number 10 is in both.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { tracked, TRPCError } from '@trpc/server'
import { resumable, type ErrorReport } from 'trpc-sluice/server'
import { createFakeClock, createHarness, eventually } from 'trpc-sluice/testing'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { z } from 'zod'
import { RawResponse } from '../../interop/support/raw-http.ts'
import { RawWebSocket } from '../../interop/support/raw-websocket.ts'
import { carriers, createNumbers, gate, t, whileAway } from './app.ts'
import { openEventSource } from './event-source.ts'

const toBeAborted = (signal: AbortSignal | undefined) =>
  new Promise<void>(resolve => signal?.addEventListener('abort', () => resolve(), { once: true }))

describe.each(carriers)('over %s', transport => {
  test('a socket that closes during the set-up leaves no orphan behind (trap 5)', async () => {
    const setUp = gate()
    const log: string[] = []
    const slow = t.procedure.subscription(async ({ signal }): Promise<AsyncIterable<number>> => {
      log.push('called')
      signal?.addEventListener('abort', () => log.push('aborted'), { once: true })
      await setUp.passed
      log.push('opened')
      const closed = async () => (log.push('closed'), { done: true as const, value: undefined })
      const next = () => (log.push('asked'), new Promise<never>(() => {}))
      return { [Symbol.asyncIterator]: () => ({ next, return: closed }) }
    })
    await using app = await createHarness({ router: t.router({ slow }), transport })
    app.record(client => client.slow)
    await eventually(() => log.includes('called'))
    app.proxy.refuse()
    await app.proxy.cut()
    await eventually(() => log.includes('aborted'))
    setUp.open()
    await eventually(() => app.sluice.stats().subscriptions === 0)
    expect(log).toEqual(['called', 'aborted', 'opened', 'closed'])
  })

  test('what a connection was allowed at its beginning says nothing about the next one (trap 7)', async () => {
    let now = 0
    const procedure = t.procedure.use(({ ctx, next }) => {
      if (now < Number(ctx.token)) return next()
      throw new TRPCError({ code: 'UNAUTHORIZED', message: `It is ${now}, and this ends at ${ctx.token}.` })
    })
    const { router, publish } = createNumbers({ procedure })
    let token = '10'
    await using app = await createHarness({
      router,
      transport,
      createContext: ({ info }) => ({ token: info.connectionParams?.['token'] }),
      link: { connectionParams: () => ({ token }) },
    })
    const seen = app.record(client => client.onNumber, {})
    await seen.started
    await publish(1)
    await seen.until(1)
    // By what it said at first it would be refused now.
    now = 20
    token = '30'
    await whileAway(app.proxy, () => publish(2))
    await seen.until(2)
    now = 40
    await app.proxy.cut()
    await eventually(() => seen.error !== null)
    expect(seen.error?.message).toBe('It is 40, and this ends at 30.')
    expect(seen.numbers).toEqual([1, 2])
  })

  test('no timer of a connection outlives it (trap 11)', async () => {
    const clock = createFakeClock()
    const reports: ErrorReport[] = []
    const { router } = createNumbers()
    await using app = await createHarness({
      router,
      transport,
      sluice: {
        clock,
        keepAlive: { enabled: true, pingMs: 1_000, pongWaitMs: 500 },
        onError: r => reports.push(r),
      },
    })
    for (const end of ['close', 'cut', 'cut while a ping is out'] as const) {
      const clientClock = createFakeClock()
      const client = app.connect({ clock: clientClock, retryDelayMs: () => 1 })
      const seen = client.record(api => api.onNumber, {})
      await seen.started
      expect(clock.pending).toBeGreaterThan(0)
      if (end === 'cut while a ping is out') {
        app.proxy.stall()
        await clock.advance(1_000)
      }
      app.proxy.refuse()
      if (end !== 'close') await app.proxy.cut()
      await client.close()
      expect(clientClock.pending).toBe(0)
      await eventually(() => app.sluice.stats().connections[transport] === 0)
      app.proxy.heal()
    }
    // Of three connections. What is left is the server's: a timer for all that wait equally long, which finds nobody.
    expect(clock.pending).toBeLessThanOrEqual(3)
    await clock.advance(10 * 60_000)
    expect(clock.pending).toBe(0)
    expect(reports).toEqual([])
  })

  test('a tab that is closed logs nothing: an abort is not an error (trap 12)', async () => {
    const console = [
      vi.spyOn(globalThis.console, 'error'),
      vi.spyOn(globalThis.console, 'warn'),
      vi.spyOn(globalThis.console, 'log'),
    ]
    onTestFinished(() => console.forEach(spy => spy.mockRestore()))
    const started: string[] = []
    const say = (what: string) => void started.push(what)
    const { onNumber } = createNumbers()
    const router = t.router({
      onNumber,
      waits: t.procedure.subscription(async function* ({ signal }) {
        yield say('waits')
        await toBeAborted(signal)
      }),
      throws: t.procedure.subscription(async function* ({ signal }) {
        yield say('throws')
        await toBeAborted(signal)
        signal?.throwIfAborted()
      }),
      sleeps: t.procedure.subscription(async function* ({ signal }) {
        yield say('sleeps')
        await sleep(60_000, undefined, { signal })
      }),
      setsUp: t.procedure.subscription(async function ({ signal }) {
        say('setsUp')
        await sleep(60_000, undefined, { signal })
        return (async function* () {})()
      }),
    })
    const reports: ErrorReport[] = []
    await using app = await createHarness({
      router,
      transport,
      sluice: { onError: report => reports.push(report) },
    })
    for (const end of ['unsubscribe', 'close', 'cut'] as const) {
      const client = app.connect()
      const all = [
        client.record(api => api.onNumber, {}),
        client.record(api => api.waits),
        client.record(api => api.throws),
        client.record(api => api.sleeps),
        client.record(api => api.setsUp),
      ]
      await eventually(() => started.length === 4 && app.sluice.stats().subscriptions === 5)
      started.length = 0
      app.proxy.refuse()
      if (end === 'cut') await app.proxy.cut()
      if (end === 'unsubscribe') for (const one of all) one.stop()
      await client.close()
      await eventually(() => app.sluice.stats().subscriptions === 0)
      app.proxy.accept()
    }
    expect(reports).toEqual([])
    for (const spy of console) expect(spy.mock.calls).toEqual([])
  })

  test('a stop that comes before the start has its way, and the connection goes on (trap 19)', async () => {
    const setUp = gate()
    const log: string[] = []
    const slow = t.procedure.subscription(async ({ signal }) => {
      log.push('called')
      signal?.addEventListener('abort', () => log.push('aborted'), { once: true })
      await setUp.passed
      return (async function* () {
        log.push('running')
        yield 1
      })()
    })
    const { onNumber, asked, publish } = createNumbers()
    await using app = await createHarness({ router: t.router({ onNumber, slow }), transport })
    const other = app.record(client => client.onNumber, {})
    await other.started
    const told: unknown[] = []
    const { unsubscribe } = app.client.slow.subscribe(undefined, {
      onStarted: () => told.push('started'),
      onData: n => told.push(n),
      onError: error => told.push(error),
    })
    await eventually(() => log.includes('called'))
    unsubscribe()
    await eventually(() => log.includes('aborted'))
    setUp.open()
    await eventually(() => app.sluice.stats().subscriptions === 1)
    await publish(1)
    await other.until(1)
    expect(log).toEqual(['called', 'aborted'])
    expect(told).toEqual([])
    expect(asked).toHaveLength(1)
  })
})

describe('over a bare WebSocket', () => {
  test('a stop in the same frame as the start, or before it, leaves nothing running (trap 19)', async () => {
    const { router, publish } = createNumbers()
    await using app = await createHarness({ router })
    await using socket = await RawWebSocket.open(app.url)
    const start = (id: number) => ({ id, method: 'subscription', params: { path: 'onNumber', input: {} } })
    const stop = (id: number) => ({ id, method: 'subscription.stop' })
    socket.send([start(1), stop(1)])
    await socket.count(1)
    await eventually(() => app.sluice.stats().subscriptions === 0)
    expect(socket.frames).toEqual(['{"id":1,"result":{"type":"stopped"}}'])
    // One that was never asked for is nobody's, and harms none that is asked for later.
    socket.send([stop(2), start(2)])
    await socket.until('"started"')
    await publish(1)
    await socket.until('{"n":1}')
    await socket.settled()
    expect(app.sluice.stats().subscriptions).toBe(1)
  })

  test('an id that is used again after its stop means the new stream only (trap 10)', async () => {
    const stopping = gate()
    let generation = 0
    const slowToEnd = t.procedure.subscription(async function* ({ signal }) {
      const mine = (generation += 1)
      try {
        yield `${mine} begins`
        await toBeAborted(signal)
        yield `${mine} says more than it should`
      } finally {
        await stopping.passed
      }
    })
    await using app = await createHarness({ router: t.router({ slowToEnd }) })
    await using socket = await RawWebSocket.open(app.url)
    socket.subscribe(1, 'slowToEnd')
    await socket.until('1 begins')
    socket.send({ id: 1, method: 'subscription.stop' })
    // While the old one is still cleaning up, its id is taken: one id never means two streams.
    socket.subscribe(1, 'slowToEnd')
    await socket.until('Duplicate id 1')
    stopping.open()
    await socket.until('"stopped"')
    socket.subscribe(1, 'slowToEnd')
    await socket.until('2 begins')
    await socket.settled()
    const said = socket.frames.map(frame => {
      const { result, error } = JSON.parse(frame) as {
        result?: { type: string; data?: string }
        error?: { message: string }
      }
      return result?.data ?? result?.type ?? error?.message
    })
    expect(said).toEqual(['started', '1 begins', 'Duplicate id 1', 'stopped', 'started', '2 begins'])
  })

  test('health is what was received: a peer that is open and dead is cut off (trap 15)', async () => {
    const clock = createFakeClock()
    const { router } = createNumbers()
    const keepAlive = { enabled: true, pingMs: 30_000, pongWaitMs: 5_000 }
    await using app = await createHarness({ router, sluice: { clock, keepAlive } })
    await using socket = await RawWebSocket.open(app.url)
    socket.subscribe(1, 'onNumber', {})
    await socket.until('"started"')
    app.proxy.stall()
    await clock.advance(34_999)
    expect(app.sluice.stats()).toMatchObject({ subscriptions: 1, connections: { websocket: 1 } })
    await clock.advance(1)
    await eventually(() => app.sluice.stats().connections.websocket === 0)
    expect(app.sluice.stats().subscriptions).toBe(0)
  })
})

describe('to an EventSource', () => {
  test('no control event moves the cursor past real events (trap 16)', async () => {
    const clock = createFakeClock()
    const numbers = createNumbers({ sse: { ping: { enabled: true, intervalMs: 1_000 } } })
    await using app = await createHarness({ router: numbers.router, sluice: { clock } })
    using page = openEventSource(`${app.url}/onNumber?input={}`)
    await using raw = await RawResponse.open(`${app.url}/onNumber?input={}&sluice=1`)
    await page.until('connected')
    await raw.until('event: connected')
    await numbers.publish(1)
    await page.until('message')
    await clock.advance(1_000)
    await page.until('ping')
    await raw.until('event: ping')
    const id = page.events.find(({ type }) => type === 'message')?.lastEventId
    expect(id).toMatch(/\w/)
    // This EventSource gives each event the id that it came with.
    expect(page.events).toMatchObject([
      { type: 'connected', lastEventId: '' },
      { type: 'message', lastEventId: id },
      { type: 'ping', lastEventId: '' },
    ])
    // Nor does it where the position is told, or at the end.
    const controls = raw.text.split('\n\n').filter(event => event.includes('event: '))
    expect(controls.map(event => /^(id|retry):/m.test(event))).toEqual([false, false])

    await whileAway(app.proxy, () => numbers.publish(2))
    await eventually(() => page.events.filter(({ type }) => type === 'message').length === 2)
    expect(numbers.asked.at(-1)).toBe(id)
    expect(page.data).toEqual(['{"n":1}', '{"n":2}'])
  })

  test('a stream that has finished says so, and one who comes back gets nothing twice (trap 17)', async () => {
    const asked: (string | undefined)[] = []
    const countToThree = t.procedure.input(resumable()).subscription(async function* ({ input }) {
      asked.push(input.lastEventId)
      for (let n = Number(input.lastEventId ?? 0) + 1; n <= 3; n++) yield tracked(String(n), n)
    })
    await using app = await createHarness({ router: t.router({ countToThree }) })
    using page = openEventSource(`${app.url}/countToThree?input={}`)
    await eventually(() => page.events.filter(({ type }) => type === 'return').length >= 2)
    page.close()
    expect(asked.slice(0, 2)).toEqual([undefined, '3'])
    expect(page.data).toEqual(['1', '2', '3'])
    expect(page.events.slice(0, 5).map(({ type }) => type)).toEqual([
      'connected',
      'message',
      'message',
      'message',
      'return',
    ])
  })

  test('no id and no data can forge an event, by line ends or by NUL (trap 18)', async () => {
    const echo = t.procedure
      .input(z.object({ id: z.string().optional(), data: z.string() }))
      .subscription(async function* ({ input: { id, data }, signal }) {
        yield id === undefined ? data : tracked(id, data)
        await toBeAborted(signal)
      })
    await using app = await createHarness({ router: t.router({ echo }) })
    const open = (input: { id?: string; data: string }) =>
      openEventSource(`${app.url}/echo?input=${encodeURIComponent(JSON.stringify(input))}`)
    const forgeries = ['\n', '\r', '\r\n', '\n\n', '\0'].map(
      end => `1${end}event: return${end}data: forged${end}`,
    )
    for (const forged of forgeries) {
      using byId = open({ id: forged, data: 'real' })
      await byId.until('serialized-error')
      byId.close()
      // Before close() was called it may have come back already, as an EventSource does.
      expect(byId.events.slice(0, 2).map(({ type }) => type)).toEqual(['connected', 'serialized-error'])
      expect(byId.events[1]?.data).toContain('EVENT_ID_INVALID')

      using byData = open({ id: '1', data: forged })
      await byData.until('message')
      expect(byData.events).toEqual([
        { type: 'connected', data: '{}', lastEventId: '' },
        { type: 'message', data: JSON.stringify(forged), lastEventId: '1' },
      ])
    }
  })
})
