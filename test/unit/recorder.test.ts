import { expect, test } from 'vitest'
import { createRecorder } from '../kit/recorder.ts'

const recordOf = (...numbers: number[]) => {
  const recorder = createRecorder<number>()
  numbers.forEach(recorder.push)
  return recorder
}

test('a perfect stream has nothing to report', () => {
  expect(recordOf(1, 2, 3).report(3)).toEqual({ delivered: 3, missing: [], repeated: [], outOfOrder: [] })
})

test('missing, repeated and out of order are told apart', () => {
  expect(recordOf(1, 2, 2, 5, 4, 5).report(6)).toEqual({
    delivered: 6,
    missing: [3, 6],
    repeated: [2, 5],
    outOfOrder: [4],
  })
})

test('without an expectation, the holes between the least and the greatest are missing', () => {
  expect(recordOf(10, 12).report().missing).toEqual([11])
  expect(recordOf().report()).toEqual({ delivered: 0, missing: [], repeated: [], outOfOrder: [] })
  expect(recordOf(1, 2).report([1, 9]).missing).toEqual([9])
})

test('items are numbered by their n, also inside a tracked envelope, and others do not count', () => {
  const recorder = createRecorder()
  for (const item of [{ n: 1 }, { id: 'x.2', data: { n: 2 } }, { $sluice: 'gap' }, null, 3])
    recorder.push(item)
  expect(recorder.numbers).toEqual([1, 2, 3])
  expect(recorder.items.length).toBe(5)
})

test('until settles when enough has come, at once if it has already', async () => {
  const recorder = createRecorder<number>()
  const waiting = recorder.until(2)
  recorder.push(1)
  recorder.push(2)
  await waiting
  await recorder.until(2)
  await recorder.until(items => items.includes(1))
})

test('a missed deadline says what was last seen and in which state', async () => {
  const recorder = createRecorder<number>({ explain: () => 'connection waiting, attempt 2' })
  recorder.push(40)
  await expect(recorder.until(2, { withinMs: 10 })).rejects.toThrow(
    'Waited 10 ms for 2 items; delivered 1; last seen 40; connection waiting, attempt 2',
  )
})

test('a stream that ends too early tells who waits for more', async () => {
  const recorder = createRecorder<number>()
  const failure = new Error('no')
  const waiting = recorder.until(1)
  recorder.end(failure)
  await expect(waiting).rejects.toMatchObject({ cause: failure })
  await expect(recorder.until(1)).rejects.toThrow('The stream ended before 1 items')
})
