import { expect, test } from 'vitest'
import { createWatchdog } from '../../../client/transports/watchdog.ts'
import { createFakeClock } from '../../kit/index.ts'

function watch(quietMs = 30_000, firstWordMs?: number) {
  const clock = createFakeClock()
  const seen = { asked: 0, silent: 0 }
  const watchdog = createWatchdog({
    clock,
    heartbeatMs: quietMs,
    heartbeatTimeoutMs: 10_000,
    firstWordMs,
    ask: () => (seen.asked += 1),
    onSilent: () => (seen.silent += 1),
  })
  return { clock, seen, watchdog }
}

test('asks a silent peer, and gives it up when it does not answer', async () => {
  const { clock, seen } = watch()
  await clock.advance(29_999)
  expect(seen).toEqual({ asked: 0, silent: 0 })
  await clock.advance(1)
  expect(seen).toEqual({ asked: 1, silent: 0 })
  await clock.advance(10_000)
  expect(seen).toEqual({ asked: 1, silent: 1 })
  await clock.advance(3_600_000)
  expect(seen).toEqual({ asked: 1, silent: 1 })
})

test('asks a peer for its first word that does not say it by itself, and gives it up no later for that', async () => {
  const { clock, seen } = watch(30_000, 1_000)
  await clock.advance(999)
  expect(seen).toEqual({ asked: 0, silent: 0 })
  await clock.advance(1)
  expect(seen).toEqual({ asked: 1, silent: 0 })
  await clock.advance(8_999)
  expect(seen).toEqual({ asked: 1, silent: 0 })
  await clock.advance(1)
  expect(seen).toEqual({ asked: 1, silent: 1 })
})

test('does not ask a peer that has said its first word by itself, until it has been silent for long', async () => {
  const { clock, seen, watchdog } = watch(30_000, 1_000)
  watchdog.heard()
  await clock.advance(29_999)
  expect(seen).toEqual({ asked: 0, silent: 0 })
  await clock.advance(1)
  expect(seen).toEqual({ asked: 1, silent: 0 })
  await clock.advance(10_000)
  expect(seen).toEqual({ asked: 1, silent: 1 })
})

test('lets a peer live that says anything at all, with one timer whatever comes', async () => {
  const { clock, seen, watchdog } = watch()
  for (let i = 0; i < 100; i++) {
    await clock.advance(20_000)
    watchdog.heard()
    expect(clock.pending).toBe(1)
  }
  expect(seen.silent).toBe(0)
})

test('a timer that fires late, as in a frozen page, is no verdict: the peer is asked first', () => {
  let now = 0
  let fire = () => {}
  const timer = { cancel() {}, [Symbol.dispose]() {} }
  const clock = {
    now: () => now,
    random: () => 0,
    after: (_ms: number, f: () => void) => ((fire = f), timer),
  }
  const seen: string[] = []
  const watchdog = createWatchdog({
    clock,
    heartbeatMs: 30_000,
    heartbeatTimeoutMs: 10_000,
    ask: () => seen.push('asked'),
    onSilent: () => seen.push('silent'),
  })
  now = 5 * 3_600_000
  fire()
  expect(seen).toEqual(['asked'])
  watchdog.heard()
  fire()
  expect(seen).toEqual(['asked'])
})

test('a probe has its own, shorter time', async () => {
  const { clock, seen, watchdog } = watch()
  watchdog.probe(2_000)
  await clock.advance(2_000)
  expect(seen).toEqual({ asked: 1, silent: 1 })
})

test('hints that keep coming do not put the verdict off, and an answer settles all of them', async () => {
  const { clock, seen, watchdog } = watch()
  const hints: string[] = []
  watchdog.probe(2_000, () => hints.push('silent'))
  await clock.advance(1_000)
  watchdog.heard()
  watchdog.probe(2_000, () => hints.push('silent'))
  await clock.advance(1_500)
  expect(hints).toEqual([])
  watchdog.probe(2_000, () => hints.push('silent'))
  await clock.advance(500)
  expect([hints, seen.silent, clock.pending]).toEqual([['silent'], 0, 0])
})

test('the silence counts from what was last heard, and not from when its answer was waited for', async () => {
  const { clock, seen, watchdog } = watch()
  watchdog.probe(10_000)
  watchdog.heard()
  await clock.advance(30_000)
  expect(seen).toEqual({ asked: 2, silent: 0 })
  await clock.advance(10_000)
  expect(seen).toEqual({ asked: 2, silent: 1 })
})

test('stopped, it leaves no timer, and with Infinity it never has one', () => {
  const { clock, watchdog } = watch()
  watchdog.stop()
  expect(clock.pending).toBe(0)
  expect(watch(Infinity).clock.pending).toBe(0)
})
