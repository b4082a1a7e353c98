import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { healthyAfterMs, idle, step as stepBy } from '../../../client/connection/machine.ts'
import type {
  ConnectionEvent,
  ConnectionState,
  Move,
  Plan,
  Reason,
} from '../../../client/connection/machine.ts'
import { SluiceError } from '../../../shared/errors.ts'

const why: Reason = new SluiceError('CONNECTION_LOST', 'A test cut it.')
const plan: Omit<Plan, 'now'> = { transport: () => 'websocket', delayMs: attempt => 100 * 2 ** attempt }

type Timed = ConnectionEvent & { readonly now: number }

const step = (state: ConnectionState, event: Timed, rest: typeof plan) =>
  stepBy(state, event, { ...rest, now: event.now })

/** What an owner holds after the steps so far; throws where one has no sense. */
class Owner {
  transport: 'none' | 'held' = 'none'
  timer: number | null = null

  carryOut(before: ConnectionState, after: ConnectionState, move: Move | undefined): void {
    if (move && this.transport === 'none') throw new Error(`nothing to ${move}`)
    if (move === 'abandon' || move === 'retire') this.transport = 'none'
    if (move === 'retire' && after.at === 'ready') this.transport = 'held' // the better one
    if (after === before) return
    if (before.at === 'waiting') this.timer = null
    if (after.at === 'opening') {
      if (this.transport === 'held') throw new Error('a second transport')
      this.transport = 'held'
    }
    if (after.at === 'waiting') this.timer = after.until
  }
}

type Happening = { readonly afterMs: number; readonly event: (now: number) => Timed }

const happening: fc.Arbitrary<Happening> = fc.record({
  afterMs: fc.integer({ min: 0, max: 5_000 }),
  event: fc.oneof(
    ...(['want', 'heard', 'due'] as const).map(type => fc.constant((now: number): Timed => ({ type, now }))),
    fc.constant((now: number): Timed => ({ type: 'opened', now, transport: 'websocket' })),
    fc.constant((now: number): Timed => ({ type: 'rest', now, why })),
    fc.boolean().map(spread => (now: number): Timed => ({ type: 'reconnect', now, why, spread })),
    fc.constant((now: number): Timed => ({ type: 'better', now, transport: 'websocket', why })),
    fc.constantFrom('network' as const, 'visible' as const).map(hint => (now: number): Timed => ({
      type: 'hint',
      now,
      hint,
      why,
    })),
    fc
      .record({
        final: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, fc.boolean()),
        afterMs: fc.nat(900),
        atOnce: fc.boolean(),
      })
      .map(loss => (now: number): Timed => ({ type: 'lost', now, why, ...loss })),
    { weight: 1, arbitrary: fc.constant((now: number): Timed => ({ type: 'close', now, why })) },
  ),
})

test('keeps its invariants over any sequence of events: one timer, one transport, closed is final', () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 40 }), moves => {
      const owner = new Owner()
      let now = 0
      let state = idle(now)
      for (const { afterMs, event } of moves) {
        now += afterMs
        const before = state
        const [after, move] = step(before, event(now), plan)
        owner.carryOut(before, after, move)
        state = after

        if (before.at === 'closed') expect(after).toBe(before)
        expect(owner.timer !== null).toBe(state.at === 'waiting')
        expect(owner.transport === 'held').toBe(state.at === 'opening' || state.at === 'ready')
        if (state.at === 'waiting') {
          expect(owner.timer).toBe(state.until)
          expect(state.until).toBeGreaterThanOrEqual(state.notBefore)
        }
        expect(state.since).toBeLessThanOrEqual(now)
      }
    }),
    { numRuns: 10_000 },
  )
})

test('leaves a way forward out of every state that is not closed', () => {
  const ways: Record<Exclude<ConnectionState['at'], 'closed'>, Timed> = {
    idle: { type: 'want', now: 9 },
    opening: { type: 'opened', now: 9, transport: 'websocket' },
    ready: { type: 'lost', now: 9, why },
    waiting: { type: 'due', now: 9 },
  }
  const onward = { idle: 'opening', opening: 'ready', ready: 'waiting', waiting: 'opening' }
  let state: ConnectionState = idle(0)
  for (let i = 0; i < 8; i++) {
    const { at }: ConnectionState = state
    if (at === 'closed') throw new Error('closed without being asked')
    ;[state] = step(state, ways[at], plan)
    expect(state.at).toBe(onward[at])
  }
})

describe('backs off', () => {
  const opened = (attempt: number): ConnectionState => ({
    at: 'ready',
    since: 0,
    transport: 'websocket',
    attempt,
    heard: false,
  })
  const lose = (state: ConnectionState, now: number) => {
    const [after] = step(state, { type: 'lost', now, why }, plan)
    return after.at === 'waiting' ? after.attempt : after.at
  }
  const hear = (state: ConnectionState) => step(state, { type: 'heard', now: 1 }, plan)[0]

  test('further after each failed attempt, the first included', () => {
    const opening: ConnectionState = { at: 'opening', since: 0, transport: 'sse', attempt: 0 }
    expect(lose(opening, 10)).toBe(1)
    expect(lose({ ...opening, attempt: 4 }, 10)).toBe(5)
  })

  test('from the start again after a healthy spell only: something received, and some time lived', () => {
    expect(lose(hear(opened(4)), healthyAfterMs)).toBe(0)
    expect(lose(hear(opened(4)), healthyAfterMs - 1)).toBe(5)
    expect(lose(opened(4), 3_600_000)).toBe(5)
  })

  test('at least as long as the server asked, whatever hints come', () => {
    const opening: ConnectionState = { at: 'opening', since: 0, transport: 'sse', attempt: 0 }
    const [waiting] = step(opening, { type: 'lost', now: 0, why, afterMs: 60_000 }, plan)
    expect(waiting).toMatchObject({ at: 'waiting', until: 60_000 })
    expect(step(waiting, { type: 'hint', now: 59_999, hint: 'network', why }, plan)).toEqual([waiting])
    expect(step(waiting, { type: 'hint', now: 60_000, hint: 'network', why }, plan)[0].at).toBe('opening')
  })
})

test('a hint while waiting means an attempt at once, and while ready a probe', () => {
  const waiting: ConnectionState = { at: 'waiting', since: 0, attempt: 3, until: 800, notBefore: 0, why }
  expect(step(waiting, { type: 'hint', now: 5, hint: 'visible', why }, plan)).toEqual([
    { at: 'opening', since: 5, transport: 'websocket', attempt: 3 },
    undefined,
  ])
  const ready: ConnectionState = { at: 'ready', since: 0, transport: 'sse', attempt: 0, heard: true }
  expect(step(ready, { type: 'hint', now: 5, hint: 'network', why }, plan)).toEqual([ready, 'probe'])
})

test('a change of the network begins an attempt anew that should have opened by now, and no other hint does', () => {
  const opening: ConnectionState = { at: 'opening', since: 0, transport: 'sse', attempt: 3 }
  expect(step(opening, { type: 'hint', now: 1_999, hint: 'network', why }, plan)).toEqual([opening])
  expect(step(opening, { type: 'hint', now: 9_000, hint: 'visible', why }, plan)).toEqual([opening])
  expect(step(opening, { type: 'hint', now: 2_000, hint: 'network', why }, plan)).toEqual([
    { at: 'opening', since: 2_000, transport: 'websocket', attempt: 3 },
    'abandon',
  ])
})

test('a line that a hint has shown to be dead is replaced at once, and what then fails is waited for', () => {
  const ready: ConnectionState = { at: 'ready', since: 0, transport: 'sse', attempt: 2, heard: true }
  const [opening, move] = step(ready, { type: 'lost', now: 5, why, atOnce: true }, plan)
  expect(opening).toMatchObject({ at: 'opening', attempt: 3 })
  expect(move).toBe('abandon')
  const [after] = step(opening, { type: 'lost', now: 6, why }, plan)
  expect(after).toMatchObject({ at: 'waiting', attempt: 4 })
})

test('who was given a time to leave in does not wait once more, unless everybody who comes is sent away', () => {
  const ready: ConnectionState = { at: 'ready', since: 0, transport: 'sse', attempt: 0, heard: true }
  const event: Timed = { type: 'reconnect', now: healthyAfterMs, why, spread: true }
  expect(step(ready, event, plan)).toEqual([
    { at: 'opening', since: healthyAfterMs, transport: 'websocket', attempt: 0 },
    'retire',
  ])
  expect(step(ready, { ...event, now: 1 }, plan)[0]).toMatchObject({ at: 'waiting', attempt: 1, until: 201 })
})

test('a loss for good closes, and tells everybody', () => {
  const ready: ConnectionState = { at: 'ready', since: 0, transport: 'sse', attempt: 0, heard: true }
  expect(step(ready, { type: 'lost', now: 5, why, final: true }, plan)).toEqual([
    { at: 'closed', since: 5, why },
    'abandon',
  ])
})

test('a response that ended politely after it had brought something is no failure', () => {
  const ready: ConnectionState = { at: 'ready', since: 0, transport: 'sse', attempt: 3, heard: true }
  const [after] = step(ready, { type: 'lost', now: 5, why, served: true }, plan)
  expect(after).toMatchObject({ at: 'waiting', attempt: 0 })
})
