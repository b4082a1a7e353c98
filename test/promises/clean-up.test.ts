/**
 * Promise 4: every generator that was started is told to finish, by its signal first and by `return()` then, however
 * its subscription ends. Over WebSocket, in a stream of many and over SSE.
 */
import { getEventListeners } from 'node:events'
import { initTRPC, TRPCError } from '@trpc/server'
import { observable } from '@trpc/server/observable'
import { describe, expect, test } from 'vitest'
import { serve, type ErrorReport, type Served } from 'trpc-sluice/server'
import { isSluiceError, withSignal } from 'trpc-sluice/shared'
import { eventually } from '../kit/deadline.ts'
import { Probe } from '../interop/support/probe.ts'
import { RawResponse } from '../interop/support/raw-http.ts'
import { postStream, subscriptionOf } from '../interop/support/raw-stream.ts'
import { RawWebSocket } from '../interop/support/raw-websocket.ts'

const graceMs = 150

/** Settles when somebody opens it. */
function gate() {
  let open = () => {}
  const passed = new Promise<void>(resolve => (open = resolve))
  return { passed, open }
}

const never = () => new Promise<void>(() => {})

/** What never yields, and whose end nobody but `withSignal` can bring about. */
const stuck: AsyncIterable<never> = {
  [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
}

async function createApp() {
  const t = initTRPC.create({ isDev: false })
  const probe = new Probe()
  const setUp = gate()
  const reports: ErrorReport[] = []
  const signals: AbortSignal[] = []
  const watch = t.procedure.use(({ next, signal }) => {
    if (signal) signals.push(signal)
    probe.called(signal)
    return next()
  })

  const router = t.router({
    /** Yields for ever, as fast as it is read. */
    flood: watch.subscription(async function* () {
      using _ = probe.enter()
      for (let i = 0; ; i++) yield i
    }),
    /** Yields once and waits for its signal. */
    waits: watch.subscription(async function* ({ signal }) {
      using _ = probe.enter()
      yield 'ready'
      await new Promise<void>(resolve => signal?.addEventListener('abort', () => resolve(), { once: true }))
    }),
    /** Waits for what never comes, in a way that can be ended. */
    waitsWell: watch.subscription(async function* ({ signal }) {
      using _ = probe.enter()
      yield 'ready'
      for await (const value of withSignal(stuck, signal)) yield value
    }),
    /** Waits for what never comes, and nothing can be done about it. */
    waitsForEver: watch.subscription(async function* () {
      using _ = probe.enter()
      yield 'ready'
      await never()
    }),
    slowSetUp: watch.subscription(async () => {
      await setUp.passed
      return (async function* () {
        using _ = probe.enter()
        yield 'late'
      })()
    }),
    neverSetUp: watch.subscription(async () => {
      await never()
      return (async function* () {
        yield 'never'
      })()
    }),
    fails: watch.subscription(async function* () {
      using _ = probe.enter()
      yield 'ready'
      throw new TRPCError({ code: 'CONFLICT', message: 'enough' })
    }),
    cannotBeEncoded: watch.subscription(async function* () {
      using _ = probe.enter()
      yield 1n
      yield 'not reached'
    }),
    endsBadly: watch.subscription(async function* ({ signal }) {
      using _ = probe.enter()
      try {
        yield 'ready'
        await new Promise<void>(resolve => signal?.addEventListener('abort', () => resolve(), { once: true }))
      } finally {
        // oxlint-disable-next-line no-unsafe-finally -- the very mistake that must not go unheard
        throw new Error('clean-up failed')
      }
    }),
    givesUp: watch.subscription(async function* ({ signal }) {
      using _ = probe.enter()
      yield 'ready'
      await new Promise<void>(resolve => signal?.addEventListener('abort', () => resolve(), { once: true }))
      signal?.throwIfAborted()
    }),
    observed: watch.subscription(() =>
      observable<string>(emit => {
        const end = probe.enter()
        emit.next('ready')
        return () => end[Symbol.dispose]()
      }),
    ),
  })
  const served = await serve({
    router,
    port: 0,
    host: '127.0.0.1',
    graceMs,
    onError: report => reports.push(report),
  })
  return {
    ...served,
    probe,
    setUp,
    reports,
    signals,
    [Symbol.asyncDispose]: () => served.close(),
  }
}

/** One subscription over either carrier, seen from the outside. */
interface Subscriber {
  /** Waits for an event. */
  until(text: string): Promise<void>
  readonly text: string
  pause(): void
  unsubscribe(): void
  leave(): void
  cut(): Promise<unknown> | void
}

async function overWebSocket(app: Served, path: string): Promise<Subscriber> {
  const socket = await RawWebSocket.open(app.url)
  socket.subscribe(1, path)
  return {
    until: text => socket.until(text),
    get text() {
      return socket.frames.join('\n')
    },
    pause: () => socket.pause(),
    unsubscribe: () => socket.send({ id: 1, method: 'subscription.stop' }),
    leave: () => void socket.close(),
    cut: () => socket.cut(),
  }
}

async function overSse(app: Served, path: string): Promise<Subscriber> {
  // Not awaited: the head comes when the set-up is done.
  const opening = RawResponse.open(`${app.url}/${path}`)
  let response: RawResponse | null = null
  opening.then(
    opened => (response = opened),
    () => {}, // it was ended before its head came
  )
  await eventually(() => response !== null || app.sluice.stats().connections.sse > 0, {
    what: 'the request to arrive',
  })
  return {
    until: async text => (await opening).until(text),
    get text() {
      return response?.text ?? ''
    },
    pause: () => response?.pause(),
    // Over SSE, to leave is to unsubscribe.
    unsubscribe: () => response?.leave(),
    leave: () => response?.leave(),
    cut: () => response?.cut(),
  }
}

async function overStream(app: Served, path: string): Promise<Subscriber> {
  const response = await postStream(app.url, { subscriptions: [subscriptionOf(1, path)] })
  const leave = () => response.leave()
  return {
    until: text => response.until(text),
    get text() {
      return response.text
    },
    pause: () => response.pause(),
    unsubscribe: leave,
    leave,
    cut: () => response.cut(),
  }
}

const carriers = [
  ['WebSocket', overWebSocket],
  ['stream', overStream],
  ['SSE', overSse],
] as const

/** All that must be true when nobody is there any more. */
async function expectNothingLeft(app: Awaited<ReturnType<typeof createApp>>): Promise<void> {
  await eventually(() => app.sluice.stats().subscriptions === 0, {
    what: () => `all subscriptions to end: ${app.probe.log.join(' ')}`,
  })
  expect(app.probe.open).toBe(0)
  for (const signal of app.signals) expect(getEventListeners(signal, 'abort')).toEqual([])
}

describe.each(carriers)('over %s, a generator is told to finish', (carrier, open) => {
  for (const path of ['waits', 'waitsWell', 'givesUp', 'observed'] as const) {
    for (const how of ['unsubscribe', 'leave', 'cut'] as const) {
      test(`when the client ${how}s: ${path}`, async () => {
        await using app = await createApp()
        const subscriber = await open(app, path)
        await subscriber.until('ready')
        await subscriber[how]()
        await expectNothingLeft(app)
        expect(app.probe.log).toEqual(['called', 'running', 'aborted', 'finally'])
        // An abort is not an error: no closed tab logs a stack.
        expect(app.reports).toEqual([])
      })
    }
  }

  test('when it floods and the client is cut off', async () => {
    await using app = await createApp()
    const subscriber = await open(app, 'flood')
    await subscriber.until('100')
    await subscriber.cut()
    await expectNothingLeft(app)
    expect(app.probe.log).toEqual(['called', 'running', 'aborted', 'finally'])
  })

  test('when it floods, the client has stopped reading, and is cut off', async () => {
    await using app = await createApp()
    const subscriber = await open(app, 'flood')
    await subscriber.until('100')
    subscriber.pause()
    const full = () => app.sluice.stats().bufferedBytes > 64 * 1024
    await eventually(full, { what: 'the outlet to be over its mark' })
    const { eventsOut } = app.sluice.stats()
    await new Promise(resolve => setImmediate(resolve))
    // It is not asked for the next event while nobody takes the last ones.
    expect(app.sluice.stats().eventsOut).toBe(eventsOut)
    expect(app.sluice.stats().bufferedBytes).toBeLessThan(72 * 1024)
    await subscriber.cut()
    await expectNothingLeft(app)
    expect(app.probe.log).toEqual(['called', 'running', 'aborted', 'finally'])
  })

  test('when it fails by itself', async () => {
    await using app = await createApp()
    const subscriber = await open(app, 'fails')
    await subscriber.until('enough')
    await expectNothingLeft(app)
    expect(app.probe.log).toEqual(['called', 'running', 'finally', 'aborted'])
    expect(app.reports.map(({ error, path }) => `${path} ${error.code}`)).toEqual(['fails CONFLICT'])
  })

  test('when its consumer fails: a value cannot be encoded', async () => {
    await using app = await createApp()
    const subscriber = await open(app, 'cannotBeEncoded')
    await subscriber.until('INTERNAL_SERVER_ERROR')
    await expectNothingLeft(app)
    expect(app.probe.log).toEqual(['called', 'running', 'aborted', 'finally'])
    expect(app.reports).toHaveLength(1)
  })

  test('when the server closes', async () => {
    await using app = await createApp()
    const subscriber = await open(app, 'waits')
    await subscriber.until('ready')
    await app.close()
    // Nothing to wait for: close() has waited.
    expect(app.probe.log).toEqual(['called', 'running', 'aborted', 'finally'])
    expect(app.sluice.stats()).toMatchObject({
      subscriptions: 0,
      connections: { websocket: 0, stream: 0, sse: 0 },
    })
  })

  test('when the client stops before it has started', async () => {
    await using app = await createApp()
    const subscriber = await open(app, 'slowSetUp')
    await eventually(() => app.probe.log.includes('called'))
    if (carrier === 'SSE') await leaveBeforeHead(app)
    else subscriber.unsubscribe()
    await eventually(() => app.probe.log.includes('aborted'))
    app.setUp.open()
    await expectNothingLeft(app)
    // Its body has never run, and never will.
    expect(app.probe.log).not.toContain('running')
    if (carrier === 'WebSocket') {
      await subscriber.until('stopped')
      expect(subscriber.text).not.toContain('started')
    }
    expect(app.reports).toEqual([])
  })

  test('when the client is gone while the procedure is still awaiting its set-up', async () => {
    await using app = await createApp()
    const subscriber = await open(app, 'slowSetUp')
    await eventually(() => app.probe.log.includes('called'))
    if (carrier === 'SSE') await leaveBeforeHead(app)
    else await subscriber.cut()
    await eventually(() => app.probe.log.includes('aborted'))
    app.setUp.open()
    await expectNothingLeft(app)
    expect(app.probe.log).not.toContain('running')
    expect(app.reports).toEqual([])
  })

  for (const path of ['waitsForEver', 'neverSetUp'] as const) {
    test(`or is counted and reported after the grace period, when it cannot: ${path}`, async () => {
      await using app = await createApp()
      const subscriber = await open(app, path)
      if (path === 'waitsForEver') await subscriber.until('ready')
      else await eventually(() => app.probe.log.includes('called'))
      const before = performance.now()
      await app.close()
      expect(performance.now() - before).toBeGreaterThanOrEqual(graceMs - 5)
      expect(app.sluice.stats()).toMatchObject({ overstayed: 1, subscriptions: 0 })
      expect(app.reports).toHaveLength(1)
      const [report] = app.reports
      expect(report?.path).toBe(path)
      expect(isSluiceError(report?.error.cause) && report.error.cause.code).toBe('OVERSTAYED')
    })
  }

  test('and what its clean-up throws is reported', async () => {
    await using app = await createApp()
    const subscriber = await open(app, 'endsBadly')
    await subscriber.until('ready')
    subscriber.unsubscribe()
    await expectNothingLeft(app)
    await eventually(() => app.reports.length === 1)
    expect(app.reports[0]?.error.message).toBe('clean-up failed')
  })
})

test.each(['SSE', 'the stream', 'WebSocket'])(
  'over %s, who leaves while its context is still being made is held no longer than the grace period',
  async carrier => {
    let asked = 0
    const router = initTRPC.create().router({
      waits: initTRPC.create().procedure.subscription(async function* () {
        yield 'ready'
      }),
    })
    const app = await serve({
      router,
      port: 0,
      graceMs,
      createContext() {
        asked += 1
        return never()
      },
    })
    const connections = () => Object.values(app.sluice.stats().connections).reduce((sum, open) => sum + open)
    if (carrier === 'WebSocket') (await RawWebSocket.open(app.url)).subscribe(1, 'waits')
    else if (carrier === 'SSE') RawResponse.open(`${app.url}/waits`).catch(leftUnanswered)
    else postStream(app.url, { subscriptions: [subscriptionOf(1, 'waits')] }).catch(leftUnanswered)
    await eventually(() => asked === 1 && connections() === 1)
    app.server.closeAllConnections()
    if (carrier !== 'WebSocket') await eventually(() => connections() === 0)
    await app.close()
    expect(app.sluice.stats()).toMatchObject({ subscriptions: 0 })
    expect(connections()).toBe(0)
  },
)

/** The client leaves before there is an answer, upon which asking fails. */
function leftUnanswered(): void {}

/** Over SSE the head comes with the set-up: who leaves before has no response yet, only a connection. */
async function leaveBeforeHead(app: Served): Promise<void> {
  app.server.closeAllConnections()
}
