import { TRPCClientError } from '@trpc/client'
import { describe, expect, test } from 'vitest'
import { FrameGate } from '../../../client/react/frame.ts'
import { toInputKey } from '../../../client/react/input-key.ts'
import { StreamStore, type StreamObserver } from '../../../client/react/stream-store.ts'
import { consumerOf } from '../../../client/subscriptions/consumer.ts'
import { createFakeClock } from '../../kit/index.ts'

const add = { initial: 0, step: (sum: unknown, event: unknown) => (sum as number) + (event as number) }

/** A store that is started, with its server's side in our hands. */
function start({
  fold = undefined as typeof add | undefined,
  maxEvents = 1_000,
  input = {} as unknown,
} = {}) {
  const store = new StreamStore({ fold, maxEvents }, true)
  const inputs: unknown[] = []
  const server: { say: StreamObserver } = { say: undefined as never } // set by start()
  const begin = () =>
    store.start((input, observer) => {
      inputs.push(input)
      server.say = observer
      return { unsubscribe: () => {} }
    }, input)
  const stop = begin()
  let renders = 0
  store.subscribe(() => (renders += 1))
  return { store, server, inputs, begin, stop, renders: () => renders }
}

/** The frame that comes without requestAnimationFrame, as in Node. */
const frame = (store: StreamStore) =>
  new Promise<void>(resolve => {
    const stop = store.subscribe(() => {
      stop()
      resolve()
    })
  })

describe('a stream as a store', () => {
  test('publishes once for all that came within a frame', async () => {
    const { store, server, renders } = start({ fold: add })
    server.say.onStarted()
    for (let n = 1; n <= 4_000; n++) server.say.onData({ id: String(n), data: n })
    expect(store.get().state).toBe(0)
    await frame(store)
    expect(store.get()).toMatchObject({ state: 8_002_000, status: 'live' })
    expect(renders()).toBe(1)
  })

  test('a snapshot replaces the state; a gap and an end are told beside it', async () => {
    const { store, server } = start({ fold: add })
    server.say.onData({ id: 'a', data: 5 })
    server.say.onData({ id: 'b', data: { $sluice: 'gap', reason: 'trimmed' } })
    server.say.onData({ id: 'b', data: { $sluice: 'snapshot', state: 40 } })
    server.say.onData({ id: 'c', data: 2 })
    server.say.onData({ id: 'd', data: { $sluice: 'end', outcome: { status: 'done', result: 'all' } } })
    server.say.onComplete()
    await frame(store)
    expect(store.get()).toMatchObject({
      state: 42,
      status: 'done',
      gap: { reason: 'trimmed' },
      end: { status: 'done', result: 'all' },
    })
  })

  test('without a fold it keeps the latest events, and those after a snapshot only', async () => {
    const { store, server } = start({ maxEvents: 2 })
    for (const n of [1, 2, 3]) server.say.onData(n)
    await frame(store)
    expect(store.get().events).toEqual([2, 3])
    server.say.onData({ $sluice: 'snapshot', state: 'all' })
    await frame(store)
    expect(store.get().events).toEqual([{ $sluice: 'snapshot', state: 'all' }])
  })

  test('an event that merely has an id among its members is not taken apart', async () => {
    const { store, server } = start({ fold: { initial: 0, step: (_, event) => event as never } })
    const event = { id: 'x', data: 1, more: true }
    server.say.onData(event)
    await frame(store)
    expect(store.get().state).toBe(event)
  })

  test('started again, it goes on after the last id it saw', () => {
    const { store, server, begin, stop, inputs } = start({ input: { room: 'a' } })
    server.say.onData({ id: 'e7', data: 1 })
    stop()
    expect(store.get()).toMatchObject({ status: 'idle', events: [{ id: 'e7', data: 1 }] })
    begin()
    expect(inputs).toEqual([{ room: 'a' }, { room: 'a', lastEventId: 'e7' }])
    expect(store.get()).toMatchObject({ status: 'reconnecting', events: [{ id: 'e7', data: 1 }] })
  })

  test('started again without ids, it begins afresh: else it would count everything twice', () => {
    const { store, server, begin, stop, inputs } = start({ fold: add })
    server.say.onData(5)
    stop()
    begin()
    expect(inputs).toEqual([{}, {}])
    expect(store.get()).toMatchObject({ status: 'connecting', state: 0 })
  })

  test('trap 17: what is done is not started again', () => {
    const { server, begin, stop, inputs, store } = start()
    server.say.onComplete()
    stop()
    begin()
    expect(inputs).toHaveLength(1)
    expect(store.get().status).toBe('done')
    expect(store.reborn().get().status).toBe('connecting')
  })

  test('tells a loss from a first connect, and an error from both', async () => {
    const { store, server } = start()
    server.say.onConnectionStateChange({ state: 'connecting' })
    await Promise.resolve()
    expect(store.get().status).toBe('connecting')
    server.say.onStarted()
    server.say.onConnectionStateChange({ state: 'connecting' })
    await frame(store)
    expect(store.get().status).toBe('reconnecting')
    const error = new TRPCClientError<never>('no')
    server.say.onError(error)
    await frame(store)
    expect(store.get()).toMatchObject({ status: 'error', error })
  })
})

describe('a gate per frame', () => {
  test('opens with the frame, once', () => {
    const frames: (() => void)[] = []
    const clock = createFakeClock()
    let commits = 0
    const gate = new FrameGate(() => (commits += 1), clock, {
      requestAnimationFrame: callback => frames.push(callback),
      cancelAnimationFrame: () => {},
    })
    gate.request()
    gate.request()
    expect([frames.length, clock.pending]).toEqual([1, 1])
    frames[0]?.()
    expect([commits, clock.pending]).toEqual([1, 0])
  })

  test('opens by itself on a hidden page, which gets no frames', async () => {
    const clock = createFakeClock()
    let commits = 0
    let cancelled = 0
    const gate = new FrameGate(() => (commits += 1), clock, {
      requestAnimationFrame: () => 1,
      cancelAnimationFrame: () => (cancelled += 1),
    })
    gate.request()
    await clock.advance(100)
    expect([commits, cancelled]).toEqual([1, 1])
  })
})

describe('the key of an input', () => {
  test('is equal for equal inputs, whatever the order of their members', () => {
    expect(toInputKey({ a: 1, b: { c: 2, d: 3 } })).toBe(toInputKey({ b: { d: 3, c: 2 }, a: 1 }))
  })

  test('tells apart what JSON would confuse', () => {
    const inputs = [
      {},
      [],
      null,
      'null',
      1n,
      1,
      new Set([1]),
      new Set([2]),
      new Map([[1, 2]]),
      new Date(0),
      [1, 2],
    ]
    expect(new Set(inputs.map(toInputKey)).size).toBe(inputs.length)
  })
})

test('a store that asks for the lag is told it, and publishes it with the frame', async () => {
  const store = new StreamStore({ fold: undefined, maxEvents: 10 }, true)
  const contexts: object[] = []
  const subscribe = (_input: unknown, { context = {} }: StreamObserver) => {
    contexts.push(context)
    return { unsubscribe: () => {} }
  }
  store.start(subscribe, {})()
  store.start(subscribe, {}, { lag: true })
  expect(contexts.map(context => consumerOf(context)?.onLag !== undefined)).toEqual([false, true])
  expect(store.get().lag).toBeNull()
  consumerOf(contexts[1] ?? {})?.onLag?.({ events: 3, ms: 20 })
  await frame(store)
  expect(store.get().lag).toEqual({ events: 3, ms: 20 })
})
