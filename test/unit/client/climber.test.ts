import { createFakeClock } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { climbing, type OpenLesser } from '../../../client/connection/climber.ts'
import type { TransportKind } from '../../../client/connection/machine.ts'
import { resolveOptions } from '../../../client/options.ts'
import type { Transport, TransportReports } from '../../../client/transports/transport.ts'
import { SluiceError } from '../../../shared/errors.ts'

const lost = { why: new SluiceError('CONNECTION_LOST', 'A test cut it.') }

interface Candidate {
  readonly kind: TransportKind
  readonly reports: TransportReports
  probed: boolean
  closed: boolean
}

/** A link whose lesser transports open when the test says so, and whose better ones are the test's, too. */
function create() {
  const clock = createFakeClock()
  const tried: Candidate[] = []
  const reached: Transport['kind'][] = []
  const told: string[] = []
  const page = { movable: true }
  const options = resolveOptions({
    url: 'http://a',
    WebSocket: Object as never,
    clock,
    climbAfterMs: 1_000,
  })
  const silent: Omit<Transport, 'kind' | 'probe' | 'close'> = {
    request: null,
    subscribe: () => {},
    unsubscribe: () => {},
  }
  const reports: TransportReports = {
    opened: () => {},
    heard: () => {},
    received: message => told.push(message.type),
    interrupted: () => {},
    lost: () => told.push('lost'),
    replaced(by, _, takeOver) {
      reached.push(by.kind)
      takeOver(reports)
    },
  }
  /** One is used, and works; returns its end. */
  const climb = (kind: TransportKind) => {
    const open: OpenLesser = (_, { opened }) => {
      queueMicrotask(opened)
      return { ...silent, kind, probe: () => {}, movable: () => page.movable, close: () => {} }
    }
    const { close } = climbing(kind, open)(options, reports, (better, itsReports) => {
      const candidate: Candidate = { kind: better, reports: itsReports, probed: false, closed: false }
      tried.push(candidate)
      return {
        ...silent,
        kind: better,
        probe: () => (candidate.probed = true),
        close: () => (candidate.closed = true),
      }
    })
    return close
  }
  const last = () => tried.at(-1) as Candidate // one was tried
  return { clock, tried, reached, told, page, climb, last }
}

test('a better transport takes over once it has answered, and not when it has merely opened', async () => {
  const { clock, reached, told, climb, last } = create()
  climb('stream')
  await clock.advance(1_000)
  last().reports.opened()
  expect([last().probed, reached]).toEqual([true, []])
  last().reports.heard()
  expect(reached).toEqual(['websocket'])
  // What it says from now on is the connection's.
  last().reports.received({ type: 'stopped', id: 1 })
  last().reports.lost(lost)
  expect([told, last().closed]).toEqual([['stopped', 'lost'], false])
})

test('the best is tried first, then the next best, and each round is put off for twice as long', async () => {
  const { clock, tried, climb, last } = create()
  climb('sse')
  const rounds: number[] = []
  for (let round = 0; round < 9; round++) {
    const before = clock.now()
    while (tried.length === 2 * round) await clock.advance(1_000)
    rounds.push((clock.now() - before) / 1_000)
    last().reports.lost(lost)
    last().reports.lost(lost)
  }
  expect(tried.slice(0, 2).map(({ kind }) => kind)).toEqual(['websocket', 'stream'])
  expect(rounds).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 128])
})

test('while somebody cannot be moved nothing is tried, and what has answered meanwhile is let go', async () => {
  const { clock, tried, reached, page, climb, last } = create()
  page.movable = false
  climb('stream')
  await clock.advance(5_000)
  expect(tried).toEqual([])
  page.movable = true
  await clock.advance(1_000)
  page.movable = false
  last().reports.heard()
  expect([reached, last().closed]).toEqual([[], true])
})

test('a connection that is lost takes its candidate with it, and leaves no timer', async () => {
  const { clock, tried, climb, last } = create()
  const close = climb('stream')
  await clock.advance(1_000)
  close()
  expect([last().closed, clock.pending]).toEqual([true, 0])
  last().reports.heard()
  climb('stream')()
  await clock.advance(0)
  expect(tried).toHaveLength(1)
})

test('a lesser transport that was merely tried is not one that was left', async () => {
  const { clock, tried, climb, last } = create()
  const fail = () => {
    last().reports.lost(lost)
    last().reports.lost(lost)
  }
  climb('sse')
  for (const seconds of [1, 2, 4]) {
    await clock.advance(1_000 * seconds)
    fail()
  }
  for (const seconds of [5, 3]) {
    const close = climb('stream')
    await clock.advance(0)
    close()
    await clock.advance(1_000 * seconds)
  }
  expect(tried).toHaveLength(7) // the fourth round, after eight seconds
  fail()
  await clock.advance(15_000)
  expect(tried).toHaveLength(8)
  await clock.advance(1_000)
  expect(tried).toHaveLength(9)
})

test('over the best there is nothing to try', async () => {
  const { clock, climb } = create()
  climb('websocket')
  await clock.advance(0)
  expect(clock.pending).toBe(0)
})

test('who fell down again soon after it had climbed waits longer than the first time', async () => {
  const { clock, tried, climb, last } = create()
  const first = climb('stream')
  await clock.advance(1_000)
  last().reports.heard()
  first()
  await clock.advance(1_000)
  const second = climb('stream')
  await clock.advance(1_000)
  expect(tried).toHaveLength(1)
  await clock.advance(1_000)
  expect(tried).toHaveLength(2)
  last().reports.heard()
  second()
  await clock.advance(5_000) // it has served well
  climb('stream')
  await clock.advance(1_000)
  expect(tried).toHaveLength(3)
})
