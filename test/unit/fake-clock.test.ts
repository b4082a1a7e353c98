import { expect, test } from 'vitest'
import { sleep } from '../../shared/clock.ts'
import { createFakeClock } from '../kit/fake-clock.ts'

test('timers fire at their own time, in order, those set meanwhile included', async () => {
  const clock = createFakeClock({ now: 1_000 })
  const fired: string[] = []
  const note = (name: string) => () => fired.push(`${name} at ${clock.now()}`)
  clock.after(30, note('c'))
  clock.after(10, () => {
    note('a')()
    clock.after(5, note('b'))
  })
  clock.after(30, note('d'))
  clock.after(31, note('late'))
  expect(clock.next).toBe(1_010)
  await clock.advance(30)
  expect(fired).toEqual(['a at 1010', 'b at 1015', 'c at 1030', 'd at 1030'])
  expect(clock.pending).toBe(1)
  expect(clock.now()).toBe(1_030)
})

test('what awaits a timer goes on before the next one fires', async () => {
  const clock = createFakeClock()
  const seen: number[] = []
  const loop = async () => {
    for (let round = 0; round < 3; round++) {
      await sleep(clock, 100)
      seen.push(clock.now())
    }
  }
  const running = loop()
  await clock.advance(1_000)
  await running
  expect(seen).toEqual([100, 200, 300])
})

test('a cancelled timer does not fire and is not pending', async () => {
  const clock = createFakeClock()
  let fired = false
  const timer = clock.after(10, () => (fired = true))
  timer.cancel()
  timer.cancel()
  await clock.advance(20)
  expect({ fired, pending: clock.pending, next: clock.next }).toEqual({
    fired: false,
    pending: 0,
    next: null,
  })
})

test('the same seed gives the same chances', () => {
  const draw = (seed: number) => {
    const clock = createFakeClock({ seed })
    return Array.from({ length: 100 }, () => clock.random())
  }
  expect(draw(7)).toEqual(draw(7))
  expect(draw(7)).not.toEqual(draw(8))
  expect(draw(7).every(value => value >= 0 && value < 1)).toBe(true)
})
