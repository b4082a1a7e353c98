import { isTrackedEnvelope, tracked } from '@trpc/server'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { closing } from '../../../shared/iterate/closing.ts'
import { streamOf, trackedStreamOf } from '../../../shared/iterate/stream-of.ts'
import { fromReadableStream, toReadableStream } from '../../../shared/iterate/web-streams.ts'
import { withSignal } from '../../../shared/iterate/with-signal.ts'

/** Counts, and says when it was closed. */
function counter(last = Infinity) {
  const log: string[] = []
  async function* count() {
    try {
      for (let n = 1; n <= last; n++) {
        log.push(`make ${n}`)
        yield n
      }
    } finally {
      log.push('closed')
    }
  }
  return { log, source: count() }
}

const never = () => new Promise<never>(() => {})
const soon = () => new Promise(resolve => setImmediate(resolve))

async function* stuck() {
  yield 1
  await never()
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const values: T[] = []
  for await (const value of source) values.push(value)
  return values
}

test('closing ends its source however the block is left', async () => {
  const left = counter()
  const leave = async () => {
    await using numbers = closing(left.source)
    await numbers.next()
    throw new Error('in the middle')
  }
  await expect(leave()).rejects.toThrow('in the middle')
  expect(left.log).toEqual(['make 1', 'closed'])

  const finished = counter(2)
  {
    await using numbers = closing(finished.source)
    expect(await all(numbers)).toEqual([1, 2])
  }
  expect(finished.log.filter(line => line === 'closed')).toHaveLength(1)
})

test('withSignal ends a wait that never settles, and the finally of its consumer runs', async () => {
  const controller = new AbortController()
  let cleanedUp = false
  async function* procedure() {
    try {
      yield* withSignal(stuck(), controller.signal)
    } finally {
      cleanedUp = true
    }
  }
  const values = procedure()
  expect(await values.next()).toEqual({ done: false, value: 1 })
  const waiting = values.next()
  controller.abort()
  expect(await waiting).toEqual({ done: true, value: undefined })
  expect(cleanedUp).toBe(true)
})

test('withSignal closes its source, passes its values and errors, and leaves no listener behind', async () => {
  const passed = counter(3)
  const controller = new AbortController()
  expect(await all(withSignal(passed.source, controller.signal))).toEqual([1, 2, 3])

  const broken = withSignal(
    (async function* () {
      yield 1
      throw new Error('source broke')
    })(),
    controller.signal,
  )
  await broken.next()
  await expect(broken.next()).rejects.toThrow('source broke')
  expect(await broken.next()).toEqual({ done: true, value: undefined })

  const aborted = counter()
  const iterator = withSignal(aborted.source, controller.signal)
  await iterator.next()
  controller.abort()
  expect(await iterator.next()).toEqual({ done: true, value: undefined })
  expect(aborted.log).toEqual(['make 1', 'closed'])
})

test('withSignal throws the reason where that is asked for, also when aborted before it began', async () => {
  const controller = new AbortController()
  const iterator = withSignal(stuck(), controller.signal, { onAbort: 'throw' })
  await iterator.next()
  const waiting = iterator.next()
  controller.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  await expect(iterator.next()).rejects.toThrow('enough')
  expect(await all(withSignal(counter().source, AbortSignal.abort()))).toEqual([])
})

test('withSignal ends its wait also where the source fails at once when it is told to stop', async () => {
  const source: AsyncIterableIterator<number> = {
    next: never,
    return: () => {
      throw new Error('it has never been open')
    },
    [Symbol.asyncIterator]: () => source,
  }
  for (const [onAbort, expected] of [
    ['return', { value: { done: true, value: undefined } }],
    ['throw', { reason: 'enough' }],
  ] as const) {
    const controller = new AbortController()
    const waiting = withSignal(source, controller.signal, { onAbort }).next()
    controller.abort('enough') // out of which nothing may come, or the process would end
    const settled = await Promise.race([Promise.allSettled([waiting]), soon()])
    expect(settled).toMatchObject([expected])
  }
})

test('a ReadableStream asks its source for nothing before it is read, and closes it when cancelled', async () => {
  const { log, source } = counter()
  const reader = toReadableStream(source).getReader()
  await Promise.resolve()
  expect(log).toEqual([])
  expect(await reader.read()).toEqual({ done: false, value: 1 })
  expect(log).toEqual(['make 1'])
  await reader.cancel()
  expect(log).toEqual(['make 1', 'closed'])
})

test('an iterable survives the round trip through a ReadableStream, and so does its error', async () => {
  expect(await all(fromReadableStream(toReadableStream(counter(3).source)))).toEqual([1, 2, 3])
  const broken = toReadableStream(
    (async function* () {
      yield 1
      throw new Error('source broke')
    })(),
  )
  await expect(all(fromReadableStream(broken))).rejects.toThrow('source broke')
})

test('leaving the loop over a stream cancels it', async () => {
  const { log, source } = counter()
  for await (const n of fromReadableStream(toReadableStream(source))) if (n === 2) break
  expect(log).toEqual(['make 1', 'make 2', 'closed'])
})

test('streamOf validates each value, inside its envelope where it is tracked', async () => {
  const schema = streamOf(z.object({ n: z.coerce.number() }))
  const source = (async function* () {
    yield { n: '1' }
    yield tracked('two', { n: '2' })
  })()
  const values: unknown[] = await all(schema.parse(source))
  expect(values[0]).toEqual({ n: 1 })
  expect(isTrackedEnvelope(values[1]) && [...values[1]].slice(0, 2)).toEqual(['two', { n: 2 }])
})

test('streamOf refuses a value and closes the source', async () => {
  const { log, source } = counter()
  const checked = streamOf(z.number().max(1)).parse(source)
  await expect(all(checked)).rejects.toMatchObject({ code: 'STREAM_INVALID' })
  expect(log).toEqual(['make 1', 'make 2', 'closed'])
  expect(() => streamOf(z.number()).parse([1])).toThrow('Expected an async iterable')
})

/** Has begun before anybody asks for a value, as a subscription to a topic has, or a cursor of a database. */
function eager() {
  const log: string[] = []
  const over = { done: true, value: undefined } as const
  let end = () => {}
  const source: AsyncIterableIterator<never, undefined> = {
    next: () => new Promise(resolve => (end = () => resolve(over))),
    async return() {
      log.push('closed')
      end()
      return over
    },
    [Symbol.asyncIterator]: () => source,
  }
  return { log, source }
}

test.each([
  ['streamOf', streamOf(z.number())],
  ['trackedStreamOf', trackedStreamOf(z.number())],
])(
  '%s closes its source for who leaves before the first value, and while one is waited for',
  async (_, schema) => {
    const unasked = eager()
    const left = schema.parse(unasked.source)
    await left.return(undefined)
    expect(unasked.log).toEqual(['closed'])
    expect(await left.next()).toEqual({ done: true, value: undefined })

    const asked = eager()
    const waited = schema.parse(asked.source)
    const waiting = waited.next()
    await waited.return(undefined)
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(asked.log).toEqual(['closed'])
  },
)

test('streamOf checks what is returned', async () => {
  const schema = streamOf(z.number(), { returns: z.string() })
  const source = async function* (result: string) {
    yield 1
    return result
  }
  const good = schema.parse(source('done'))
  await good.next()
  expect(await good.next()).toEqual({ done: true, value: 'done' })
  const bad = schema.parse(source(1 as unknown as string))
  await bad.next()
  await expect(bad.next()).rejects.toMatchObject({ code: 'STREAM_INVALID' })
})
