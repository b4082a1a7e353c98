/**
 * The traps of DESIGN.md section 8 that a client falls into, each sprung over real sockets. The server's are in
 * server.test.ts beside this file, where number 10 is as well; number 15 is in silence.test.ts.
 */
import { createRun, type ErrorReport } from 'trpc-sluice/server'
import { isRunEnd } from 'trpc-sluice/shared'
import { createFakeClock, createHarness, eventually } from 'trpc-sluice/testing'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { carriers, createNumbers, gate, nextTurn, t, watchClient, whileAway } from './app.ts'

afterEach(() => void vi.unstubAllGlobals())

const complete = (delivered: number) => ({ delivered, missing: [], repeated: [], outOfOrder: [] })

describe.each(carriers)('over %s', transport => {
  test('a quiet subscription can be resumed: its cursor is known before the first event (trap 1)', async () => {
    for (const before of [[], [-1, 0]]) {
      const { router, asked, publish } = createNumbers()
      await publish(...before)
      await using app = await createHarness({ router, transport })
      const seen = app.record(client => client.onNumber, {})
      await seen.started
      await whileAway(app.proxy, () => publish(1, 2))
      await seen.until(2)
      expect(seen.numbers).toEqual([1, 2])
      expect(asked).toEqual([undefined, expect.any(String)])
    }
  })

  test('a second reconnect before a new event keeps the cursor (trap 2)', async () => {
    const { router, asked, publish } = createNumbers()
    await using app = await createHarness({ router, transport })
    const seen = app.record(client => client.onNumber, {})
    await seen.started
    await publish(1)
    await seen.until(1)
    await app.proxy.cut()
    await eventually(() => asked.length === 2 && app.link.connection.get().at === 'ready')
    await whileAway(app.proxy, () => publish(2))
    await seen.until(2)
    expect(seen.report(2)).toEqual(complete(2))
    const [first] = seen.items
    expect(asked).toEqual([undefined, first?.id, first?.id])
  })

  test('an event that was recovered advances the position like any other (trap 3)', async () => {
    const { router, asked, publish } = createNumbers()
    await using app = await createHarness({ router, transport })
    const seen = app.record(client => client.onNumber, {})
    await seen.started
    await whileAway(app.proxy, () => publish(1, 2, 3))
    await seen.until(3)
    await whileAway(app.proxy, () => publish(4))
    await seen.until(4)
    expect(seen.report(4)).toEqual(complete(4))
    // By what was asked, and not only by what was seen: the client would hide a repeat.
    expect(asked.at(-1)).toBe(seen.items[2]?.id)
  })

  test('callbacks may subscribe and unsubscribe, and their neighbours notice nothing (trap 4)', async () => {
    const { router, publish } = createNumbers()
    const errors: unknown[] = []
    await using app = await createHarness({ router, transport, link: { onError: e => errors.push(e) } })
    const neighbour = app.record(client => client.onNumber, {})
    const first: number[] = []
    const second: number[] = []
    const started = gate()
    const startedAndLeft = app.client.onNumber.subscribe(
      {},
      { onStarted: () => startedAndLeft.unsubscribe(), onData: () => first.push(NaN) },
    )
    const leaving = app.client.onNumber.subscribe(
      {},
      {
        onStarted: started.open,
        onData: ({ id, data }) => {
          first.push(data.n)
          leaving.unsubscribe()
          leaving.unsubscribe()
          const next = { onData: (item: { data: { n: number } }) => second.push(item.data.n) }
          app.client.onNumber.subscribe({ lastEventId: id }, next)
        },
      },
    )
    await Promise.all([neighbour.started, started.passed])
    await eventually(() => app.sluice.stats().subscriptions === 2)
    await publish(1, 2, 3)
    await neighbour.until(3)
    await eventually(() => second.length === 2)
    expect(first).toEqual([1])
    expect(second).toEqual([2, 3])
    expect(neighbour.report(3)).toEqual(complete(3))
    await eventually(() => app.sluice.stats().subscriptions === 2)
    expect(errors).toEqual([])
  })

  test('each connection passes its own gate: who it is, is asked afresh and said first (trap 6)', async () => {
    const who = t.procedure.subscription(async function* ({ ctx, signal }) {
      yield ctx.token ?? 'nobody'
      await new Promise(resolve => signal?.addEventListener('abort', resolve))
    })
    const router = t.router({ who, onNumber: createNumbers().onNumber })
    let asked = 0
    await using app = await createHarness({
      router,
      transport,
      createContext: ({ info }) => ({ token: info.connectionParams?.['token'] }),
      link: { connectionParams: () => ({ token: `token ${(asked += 1)}` }) },
    })
    const seen = app.record(client => client.who)
    for (let round = 1; round <= 3; round++) {
      await seen.until(items => items.length === round)
      expect(seen.items.at(-1)).toBe(`token ${round}`)
      await app.proxy.cut()
    }
    await seen.until(items => items.length === 4)
    seen.stop()
    // One that boards while there is no connection waits for the next one's gate, and not for the first one's.
    const held = app.record(client => client.onNumber, {})
    await held.started
    app.proxy.refuse()
    await app.proxy.cut()
    const before = asked
    const late = app.record(client => client.who)
    await eventually(() => app.link.connection.get().at === 'waiting')
    app.proxy.accept()
    await late.until(items => items.length === 1)
    expect(Number(late.items[0]?.split(' ')[1])).toBeGreaterThan(before)
  })

  test('resume offers that come in one moment make one attempt (trap 9)', async () => {
    const page = new EventTarget()
    const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page))
    vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page))
    vi.stubGlobal('document', document)

    const { router, publish } = createNumbers()
    const clock = createFakeClock()
    const client = watchClient()
    const link = { ...client.parts, clock, retryDelayMs: () => 1_000, connectTimeoutMs: 60_000 }
    await using app = await createHarness({ router, transport, link })
    const offerAll = () => {
      page.dispatchEvent(new Event('online'))
      page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }))
      document.dispatchEvent(new Event('visibilitychange'))
      app.link.connection.wake()
    }
    const seen = app.record(api => api.onNumber, {})
    await seen.started
    expect(client.attempts).toBe(1)

    // While it waits for the next attempt: the offers take its place, and the timer's.
    await whileAway(app.proxy, async () => {
      await eventually(() => app.link.connection.get().at === 'waiting')
      await publish(1)
    })
    offerAll()
    await seen.until(1)
    expect(clock.pending).toBeLessThanOrEqual(1) // a heartbeat's; the one of the attempt is gone
    await clock.advance(5_000)
    expect(client.attempts).toBe(2)

    // While the old connection looks open, and is dead.
    app.proxy.stall()
    await publish(2)
    offerAll()
    await nextTurn()
    expect(clock.pending).toBe(1) // the probe's over WebSocket, the attempt's over HTTP
    await clock.advance(2_000)
    app.proxy.resume()
    await clock.advance(1_000)
    await seen.until(2)
    await clock.advance(5_000)
    expect(client.attempts).toBe(3)
    expect(seen.report(2)).toEqual(complete(2))
  })

  test('what is late for a subscription that has ended never reaches the next one (trap 10)', async () => {
    const { router, publish } = createNumbers()
    await using app = await createHarness({ router, transport })
    const first = app.record(client => client.onNumber, {})
    await first.started
    app.proxy.stall()
    await publish(1)
    await eventually(() => app.sluice.stats().eventsOut === 1)
    // Event 1 is on its way to the first, which leaves; the server cannot know that yet.
    first.stop()
    const second = app.record(client => client.onNumber, {})
    app.proxy.resume()
    await second.started
    await publish(2)
    await second.until(1)
    expect(second.numbers).toEqual([2])
    expect(first.numbers).toEqual([])
  })

  test('a first connect that fails is retried like any other (trap 13)', async () => {
    const { router, publish } = createNumbers()
    await using app = await createHarness({ router, transport })
    app.proxy.refuse()
    const seen = app.record(client => client.onNumber, {})
    await eventually(() => {
      const state = app.link.connection.get()
      return state.at === 'waiting' && state.attempt >= 3
    })
    app.proxy.accept()
    await seen.started
    await publish(1)
    await seen.until(1)
    expect(seen.error).toBeNull()
  })

  test('nothing is sent late on purpose: all goes on while the clocks stand still (trap 14)', async () => {
    const { onNumber, publish } = createNumbers()
    const add = t.procedure.input(z.number()).mutation(({ input }) => publish(input))
    const router = t.router({ onNumber, add })
    const client = watchClient()
    let sentWithOpening: number | null = null
    class Opening extends client.parts.WebSocket {
      constructor(url: string) {
        super(url)
        // Before the link's own listener; the next turn comes after all that it does at once.
        this.once('open', () => setImmediate(() => (sentWithOpening = client.sent.length)))
      }
    }
    await using app = await createHarness({
      router,
      transport,
      sluice: { clock: createFakeClock() },
      link: { ...client.parts, WebSocket: Opening, clock: createFakeClock() },
    })
    const seen = app.record(api => api.onNumber, {})
    await nextTurn()
    expect(client.attempts).toBe(1)
    await seen.started
    if (transport === 'websocket') expect(sentWithOpening).toBe(1)

    // Over HTTP mutations are tRPC's own, which gathers a batch until the next turn.
    const before = client.sent.length
    const added = app.client.add.mutate(1)
    await nextTurn()
    const sentAtOnce = client.sent.length - before
    await added
    if (transport === 'websocket') expect(sentAtOnce).toBe(1)
    await seen.until(1)
  })

  test('a stream that has finished is never begun again (trap 17)', async () => {
    let begun = 0
    const countTo = t.procedure.input(z.number()).subscription(async function* ({ input }) {
      begun += 1
      for (let n = 1; n <= input; n++) yield n
    })
    const { onNumber, asked, publish } = createNumbers()
    const router = t.router({ onNumber, countTo })
    await using app = await createHarness({ router, transport })
    const other = app.record(client => client.onNumber, {})
    await other.started
    const told: unknown[] = []
    app.client.countTo.subscribe(3, {
      onData: n => told.push(n),
      onComplete: () => told.push('complete'),
      onError: error => told.push(error),
    })
    await eventually(() => told.includes('complete'))
    await app.proxy.cut()
    await eventually(() => asked.length === 2)
    await publish(1)
    await other.until(1)
    expect(told).toEqual([1, 2, 3, 'complete'])
    expect(begun).toBe(1)
  })

  test('the end of a run is in its log: a viewer who was away then is told of it (trap 8)', async () => {
    const finish = gate()
    const answer = createRun({
      name: 'answer',
      procedure: t.procedure,
      input: z.string(),
      event: z.object({ n: z.number() }),
      result: z.string(),
    }).handler(async function* () {
      yield { n: 1 }
      await finish.passed
      return 'forty-two'
    })
    const router = t.router({ answer })
    await using app = await createHarness({ router, transport })
    const { id } = await app.client.answer.start.mutate({ input: 'why?' })
    const seen = app.record(client => client.answer.attach, { id })
    await seen.until(1)
    await whileAway(app.proxy, async () => {
      finish.open()
      const here = router.createCaller({})
      await eventually(async () => (await here.answer.status({ id })).status === 'done')
    })
    const newcomer = app.record(client => client.answer.attach, { id })
    for (const viewer of [seen, newcomer]) {
      await viewer.until(items => isRunEnd(items.at(-1)?.data))
      expect(viewer.items.map(({ data }) => data)).toEqual([
        { n: 1 },
        { $sluice: 'end', outcome: { status: 'done', result: 'forty-two' } },
      ])
    }
    await eventually(() => app.sluice.stats().subscriptions === 0)
  })
})

test('no id is used twice, not even on another connection (trap 10)', async () => {
  const { router, asked } = createNumbers()
  const client = watchClient()
  await using app = await createHarness({ router, transport: 'websocket', link: client.parts })
  app.record(api => api.onNumber, {})
  for (let round = 1; round <= 3; round++) {
    await eventually(() => asked.length === 2 * round - 1)
    app.record(api => api.onNumber, {}).stop()
    const leaving = app.record(api => api.onNumber, {})
    await leaving.started
    leaving.stop()
    await app.proxy.cut()
  }
  await eventually(() => asked.length === 7)
  const ids = client.sent.filter(({ method }) => method === 'subscription').map(({ id }) => id)
  expect(ids).toHaveLength(7)
  expect(new Set(ids).size).toBe(7)
})

test('a body that rejects with a TypeError, as on iOS, is a loss and no error (trap 20)', async () => {
  const { router, asked, publish } = createNumbers()
  const bodies: ReadableStreamDefaultController<Uint8Array>[] = []
  const failing: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    const pass = new TransformStream<Uint8Array, Uint8Array>({
      start: body => void bodies.push(body as never),
    })
    return new Response(response.body?.pipeThrough(pass), response)
  }
  const reports: ErrorReport[] = []
  const errors: unknown[] = []
  await using app = await createHarness({
    router,
    transport: 'sse',
    sluice: { onError: report => reports.push(report) },
    link: { fetch: failing, onError: error => errors.push(error) },
  })
  const seen = app.record(client => client.onNumber, {})
  await seen.started
  await publish(1)
  await seen.until(1)
  bodies[0]?.error(new TypeError('Load failed'))
  await eventually(() => asked.length === 2)
  await publish(2)
  await seen.until(2)
  expect(seen.report(2)).toEqual(complete(2))
  expect(seen.error).toBeNull()
  expect([...errors, ...reports]).toEqual([])
})
