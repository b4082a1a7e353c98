import { initTRPC, TRPCError } from '@trpc/server'
import { expect, test, vi } from 'vitest'
import { z } from 'zod'
import { memoryStore } from '../../../server/stores/memory.ts'
import { createRun } from '../../../server/topics/runs/run.ts'
import type { RunHandlerOptions } from '../../../server/topics/runs/runs.ts'
import type { Clock } from '../../../shared/clock.ts'
import { isRunEnd, isSnapshot } from '../../../shared/items.ts'
import { createFakeClock } from '../../kit/fake-clock.ts'

const t = initTRPC.context<{ user: string }>().create()
const joined = { initial: '', step: (text: string, token: string) => text + token }

/** A kind of run whose handler is under the test's control. */
function setUp(
  handler: (
    options: RunHandlerOptions<{ words: string[] }, { user: string }>,
  ) => AsyncIterable<string, string, undefined>,
  options: {
    store?: ReturnType<typeof memoryStore>
    fold?: typeof joined
    graceMs?: number
    retainMs?: number
    clock?: Clock
    onError?: (error: Error) => void
  } = {},
) {
  const store = options.store ?? memoryStore()
  const answer = createRun({
    name: 'answer',
    procedure: t.procedure,
    input: z.object({ words: z.array(z.string()) }),
    event: z.string(),
    result: z.string(),
    store,
    onError: () => {},
    ...options,
  }).handler(handler)
  return { store, caller: t.router({ answer }).createCaller({ user: 'ada' }).answer }
}

async function* speak({ input }: { input: { words: string[] } }) {
  yield* input.words
  return input.words.join('')
}

async function all(source: AsyncIterable<unknown>): Promise<unknown[]> {
  const items = []
  for await (const item of source) items.push((item as [string, unknown])[1])
  return items
}

const finished = { $sluice: 'end', outcome: { status: 'done', result: 'abc' } }
const words = ['a', 'b', 'c']

test('a run goes to its end without any viewer, and replays to whoever attaches', async () => {
  const { caller } = setUp(speak)
  const { id } = await caller.start({ input: { words } })
  expect(await all(await caller.attach({ id }))).toEqual([...words, finished])
  expect(await all(await caller.attach({ id }))).toEqual([...words, finished])
  expect(await caller.status({ id })).toMatchObject({ status: 'done', result: 'abc' })
})

test('starting the same id twice runs once', async () => {
  let runs = 0
  const { caller } = setUp(async function* (options) {
    runs++
    return yield* speak(options)
  })
  const start = () => caller.start({ id: 'one', input: { words } })
  expect(await Promise.all([start(), start(), start()])).toEqual([
    { id: 'one' },
    { id: 'one' },
    { id: 'one' },
  ])
  await all(await caller.attach({ id: 'one' }))
  await start()
  expect(runs).toBe(1)
})

test('who starts a run that somebody is about to start is answered when there is one, and starts it if the other cannot', async () => {
  const clock = createFakeClock()
  const store = memoryStore({ clock })
  const [here, there] = [setUp(speak, { store, clock }), setUp(speak, { store, clock })]
  const append = store.append.bind(store)
  let proceed = (_ends: 'well' | 'badly') => {}
  const start = (id: string) => {
    const appending = new Promise<void>(begun => {
      vi.spyOn(store, 'append').mockImplementationOnce(async (...started) => {
        begun()
        const ends = await new Promise<'well' | 'badly'>(resolve => (proceed = resolve))
        if (ends === 'badly') throw new Error('The store is away.')
        return append(...started)
      })
    })
    return { first: here.caller.start({ id, input: { words } }), appending }
  }
  for (const ends of ['well', 'badly'] as const) {
    const { first, appending } = start(ends)
    await appending
    let answered = false
    const second = there.caller.start({ id: ends, input: { words } }).finally(() => (answered = true))
    await clock.advance(2_000)
    expect(answered).toBe(false)
    proceed(ends)
    if (ends === 'well') expect(await first).toEqual({ id: ends })
    else await expect(first).rejects.toThrow('The store is away.')
    await clock.advance(2_000)
    expect(await second).toEqual({ id: ends })
    expect(await all(await there.caller.attach({ id: ends }))).toEqual([...words, finished])
  }
})

test('a viewer resumes by cursor; one with a fold gets a single state and the end', async () => {
  const { caller } = setUp(speak)
  await caller.start({ id: 'one', input: { words } })
  const cursors: string[] = []
  for await (const item of await caller.attach({ id: 'one' })) cursors.push((item as unknown as [string])[0])
  expect(await all(await caller.attach({ id: 'one', lastEventId: cursors[1] }))).toEqual(['c', finished])
  // The last cursor of all: the stream completes, and does not begin again.
  expect(await all(await caller.attach({ id: 'one', lastEventId: cursors[3] }))).toEqual([])
  const folded = setUp(speak, { fold: joined })
  await folded.caller.start({ id: 'one', input: { words } })
  await all(await folded.caller.attach({ id: 'one' }))
  const [state, end] = await all(await folded.caller.attach({ id: 'one' }))
  expect(isSnapshot(state) && state.state).toBe('abc')
  expect(end).toEqual(finished)
})

test('stop aborts the signal and is told to every viewer; leaving is not stopping', async () => {
  let cleanedUp = false
  const { caller } = setUp(async function* ({ signal }) {
    try {
      yield 'a'
      await new Promise(resolve => signal.addEventListener('abort', resolve))
      return 'never seen'
    } finally {
      cleanedUp = true
    }
  })
  const { id } = await caller.start({ input: { words } })
  for await (const _item of await caller.attach({ id })) break
  expect(await caller.status({ id })).toMatchObject({ status: 'running' })
  const viewers = [all(await caller.attach({ id })), all(await caller.attach({ id }))]
  await caller.stop({ id })
  for (const viewer of viewers) {
    expect(await viewer).toEqual(['a', { $sluice: 'end', outcome: { status: 'stopped' } }])
  }
  expect(cleanedUp).toBe(true)
  expect(await caller.stop({ id })).toEqual({ id })
})

test('a run is stopped from another node', async () => {
  const store = memoryStore()
  const wait = async function* ({ signal }: { signal: AbortSignal }) {
    yield 'a'
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    return ''
  }
  const [here, there] = [setUp(wait, { store }), setUp(wait, { store })]
  const { id } = await here.caller.start({ input: { words } })
  await there.caller.stop({ id })
  expect((await all(await there.caller.attach({ id }))).at(-1)).toEqual({
    $sluice: 'end',
    outcome: { status: 'stopped' },
  })
})

test('a run is stopped from another node also in the moment in which it begins', async () => {
  const store = memoryStore()
  const wait = async function* ({ signal }: { signal: AbortSignal }) {
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    yield 'never seen'
    return ''
  }
  const [here, there] = [setUp(wait, { store }), setUp(wait, { store })]
  const append = store.append.bind(store)
  vi.spyOn(store, 'append').mockImplementationOnce(async (...start) => {
    const appended = await append(...start)
    await there.caller.stop({ id: 'one' }) // who can see it before the one who started it knows
    return appended
  })
  await here.caller.start({ id: 'one', input: { words } })
  expect(await all(await there.caller.attach({ id: 'one' }))).toEqual([
    { $sluice: 'end', outcome: { status: 'stopped' } },
  ])
})

test('to have stopped a run that is long forgotten does not stop the next one of its id, nor keep it from being stopped', async () => {
  const clock = createFakeClock()
  const store = memoryStore({ clock })
  const wait = async function* ({ signal }: { signal: AbortSignal }) {
    yield 'a'
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    return ''
  }
  const nodes = [
    setUp(wait, { store, clock, retainMs: 1_000 }),
    setUp(wait, { store, clock, retainMs: 1_000 }),
  ] as const
  for (let life = 1; life <= 2; life++) {
    await nodes[0].caller.start({ id: 'one', input: { words } })
    const items = await nodes[1].caller.attach({ id: 'one' })
    const seen = all(items)
    await clock.advance(0)
    expect(await nodes[0].caller.status({ id: 'one' })).toMatchObject({ status: 'running' })
    await nodes[1].caller.stop({ id: 'one' })
    expect((await seen).at(-1)).toEqual({ $sluice: 'end', outcome: { status: 'stopped' } })
    await clock.advance(2_000)
    await expect(nodes[0].caller.status({ id: 'one' })).rejects.toThrow('no run')
  }
})

test('a handler that throws before it has begun ends the run as failed', async () => {
  const { caller } = setUp(() => {
    throw new TRPCError({ code: 'BAD_REQUEST', message: 'These are no words.' })
  })
  const { id } = await caller.start({ input: { words } })
  const error = { code: 'BAD_REQUEST', message: 'These are no words.' }
  expect(await all(await caller.attach({ id }))).toEqual([
    { $sluice: 'end', outcome: { status: 'failed', error } },
  ])
})

test('a run whose log cannot be written is not kept at work for nothing', async () => {
  const store = memoryStore()
  let yielded = 0
  let finish = () => {}
  const ended = new Promise<void>(resolve => (finish = resolve))
  const { caller } = setUp(
    async function* () {
      try {
        for (; yielded < 100; yielded++) {
          await new Promise(resolve => setImmediate(resolve))
          yield 'a'
        }
        return ''
      } finally {
        finish()
      }
    },
    { store },
  )
  const { id } = await caller.start({ input: { words } })
  vi.spyOn(store, 'append').mockRejectedValue(new Error('The store is away.'))
  await ended
  expect(yielded).toBeLessThan(5)
  vi.restoreAllMocks()
  expect(await all(await caller.attach({ id }))).toMatchObject([{ outcome: { status: 'interrupted' } }])
})

test('a handler that ignores its signal is reported after the grace period and its viewers are let go', async () => {
  const errors: Error[] = []
  const { caller } = setUp(
    async function* () {
      yield 'a'
      await new Promise(() => {})
      return ''
    },
    { graceMs: 10, onError: error => errors.push(error) },
  )
  const { id } = await caller.start({ input: { words } })
  const viewer = all(await caller.attach({ id }))
  await caller.stop({ id })
  expect((await viewer).at(-1)).toEqual({ $sluice: 'end', outcome: { status: 'stopped' } })
  expect(errors).toMatchObject([{ code: 'OVERSTAYED' }])
})

test('a handler that throws ends the run as failed, without its inner message', async () => {
  const errors: Error[] = []
  const { caller } = setUp(
    async function* () {
      yield 'a'
      throw new Error('password is hunter2')
    },
    { onError: error => errors.push(error) },
  )
  const { id } = await caller.start({ input: { words } })
  const outcome = { status: 'failed', error: { code: 'INTERNAL_SERVER_ERROR', message: 'The run failed.' } }
  expect(await all(await caller.attach({ id }))).toEqual(['a', { $sluice: 'end', outcome }])
  expect(errors[0]?.message).toBe('password is hunter2')
})

test('a value that the schema refuses ends the run as failed', async () => {
  const { caller } = setUp(async function* () {
    yield 1 as unknown as string
    return ''
  })
  const { id } = await caller.start({ input: { words } })
  const items = await all(await caller.attach({ id }))
  expect(items).toMatchObject([{ outcome: { status: 'failed', error: { code: 'STREAM_INVALID' } } }])
})

test('an event that looks like the end of the run is refused, and ends it as failed', async () => {
  const procedures = createRun({
    name: 'forged',
    procedure: t.procedure,
    input: z.string(),
    event: z.record(z.string(), z.unknown()),
    onError: () => {},
  }).handler(async function* ({ input }) {
    yield JSON.parse(input) as Record<string, unknown>
    yield { n: 2 }
    return null
  })
  const { forged } = t.router({ forged: procedures }).createCaller({ user: 'ada' })
  const input = JSON.stringify({ $sluice: 'end', outcome: { status: 'done', result: 'mine' } })
  const { id } = await forged.start({ input })
  const items = await all(await forged.attach({ id }))
  expect(items).toMatchObject([{ outcome: { status: 'failed', error: { code: 'STREAM_INVALID' } } }])
  expect(await forged.status({ id })).toMatchObject({ status: 'failed' })
})

test('a run whose owner died is interrupted, for a viewer who waits and for one who comes later', async () => {
  const clock = createFakeClock()
  const store = memoryStore({ clock })
  // What a dead owner leaves behind: a log without an end, and a lease that nobody renews.
  const { packRecord } = await import('../../../server/topics/runs/record.ts')
  await store.acquireLease('run.answer/one', 'the dead', 5000)
  await store.append('run.answer/one', [
    { payload: packRecord(['start', { words }]), at: clock.now() },
    { payload: packRecord(['event', 'a']), at: clock.now() },
  ])
  const answer = createRun({
    name: 'answer',
    procedure: t.procedure,
    input: z.unknown(),
    event: z.string(),
    store,
    clock,
  }).handler(async function* () {
    yield ''
  })
  const caller = t.router({ answer }).createCaller({ user: 'ada' }).answer
  const viewer = all(await caller.attach({ id: 'one' }))
  expect(await caller.status({ id: 'one' })).toMatchObject({ status: 'running' })
  await clock.advance(11_000)
  expect((await viewer).filter(isRunEnd)).toEqual([{ $sluice: 'end', outcome: { status: 'interrupted' } }])
  expect(await caller.status({ id: 'one' })).toMatchObject({ status: 'interrupted' })
})

test('whether the owner of a run lives is not asked any more once all have left, be it that one of them met a store that was away', async () => {
  const clock = createFakeClock()
  const store = memoryStore({ clock })
  const { packRecord } = await import('../../../server/topics/runs/record.ts')
  await store.acquireLease('run.answer/one', 'somebody elsewhere', 3_600_000)
  await store.append('run.answer/one', [{ payload: packRecord(['start', { words }]), at: clock.now() }])
  const { caller } = setUp(speak, { store, clock })
  const attach = async () => {
    const iterator = (await caller.attach({ id: 'one' }))[Symbol.asyncIterator]()
    await clock.advance(0)
    return iterator
  }
  // Once to see that there is such a run; and then its log is opened.
  const describeLog = store.describe.bind(store)
  vi.spyOn(store, 'describe')
    .mockImplementationOnce(describeLog)
    .mockRejectedValueOnce(new Error('The store is away.'))
  const unlucky = await attach()
  const other = await attach()
  await expect(unlucky.next()).rejects.toThrow('The store is away.')
  await other.return?.()
  await clock.advance(10_000)
  expect(clock.pending).toBe(0)
})

test('a run that was never started is NOT_FOUND in a typed way', async () => {
  const { caller } = setUp(speak)
  for (const call of [caller.attach, caller.stop, caller.status]) {
    await expect(call({ id: 'nobody' })).rejects.toMatchObject({ cause: { code: 'RUN_NOT_FOUND' } })
  }
})
