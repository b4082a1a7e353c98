import { createFakeClock } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { createClimber } from '../../../client/connection/climber.ts'
import type { TransportKind } from '../../../client/connection/machine.ts'
import type { Transport, TransportReports } from '../../../client/transports/transport.ts'
import { SluiceError } from '../../../shared/errors.ts'

const lost = { why: new SluiceError('CONNECTION_LOST', 'A test cut it.'), retry: true }

interface Candidate {
  readonly kind: TransportKind
  readonly reports: TransportReports
  probed: boolean
  closed: boolean
}

function create() {
  const clock = createFakeClock()
  const tried: Candidate[] = []
  const reached: TransportKind[] = []
  const told: string[] = []
  const page = { movable: true }
  const climber = createClimber({
    clock,
    climbAfterMs: 1_000,
    isMovable: () => page.movable,
    create(kind, reports) {
      const candidate: Candidate = { kind, reports, probed: false, closed: false }
      tried.push(candidate)
      const transport: Transport = {
        kind,
        request: null,
        subscribe: () => {},
        unsubscribe: () => {},
        probe: () => (candidate.probed = true),
        close: () => (candidate.closed = true),
      }
      return transport
    },
    reached(kind, _transport, takeOver) {
      reached.push(kind)
      takeOver({
        opened: () => {},
        heard: () => {},
        received: (message, size) => told.push(`${message.type} ${size}`),
        interrupted: () => {},
        lost: () => told.push('lost'),
      })
    },
  })
  const last = () => tried.at(-1) as Candidate // one was tried
  return { clock, tried, reached, told, page, climber, last }
}

test('a better transport takes over once it has answered, and not when it has merely opened', async () => {
  const { clock, reached, told, climber, last } = create()
  climber.watch(['websocket'])
  await clock.advance(1_000)
  last().reports.opened()
  expect([last().probed, reached]).toEqual([true, []])
  last().reports.heard()
  expect(reached).toEqual(['websocket'])
  // What it says from now on is the connection's.
  last().reports.received({ type: 'stopped', id: 1 }, 7)
  last().reports.lost(lost)
  expect([told, last().closed]).toEqual([['stopped 7', 'lost'], false])
})

test('the best is tried first, then the next best, and each round is put off for twice as long', async () => {
  const { clock, tried, climber, last } = create()
  climber.watch(['websocket', 'stream'])
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
  const { clock, tried, reached, page, climber, last } = create()
  page.movable = false
  climber.watch(['websocket'])
  await clock.advance(5_000)
  expect(tried).toEqual([])
  page.movable = true
  await clock.advance(1_000)
  page.movable = false
  last().reports.heard()
  expect([reached, last().closed]).toEqual([[], true])
})

test('a connection that is lost takes its candidate with it, and leaves no timer', async () => {
  const { clock, tried, climber, last } = create()
  climber.watch(['websocket'])
  await clock.advance(1_000)
  climber.stop()
  expect([last().closed, clock.pending]).toEqual([true, 0])
  last().reports.heard()
  climber.watch(['websocket'])
  climber.stop()
  expect([tried.length, clock.pending]).toEqual([1, 0])
})

test('who fell down again soon after it had climbed waits longer than the first time', async () => {
  const { clock, tried, climber, last } = create()
  climber.watch(['websocket'])
  await clock.advance(1_000)
  last().reports.heard()
  climber.watch([])
  await clock.advance(1_000)
  climber.watch(['websocket'])
  await clock.advance(1_000)
  expect(tried).toHaveLength(1)
  await clock.advance(1_000)
  expect(tried).toHaveLength(2)
  last().reports.heard()
  climber.watch([])
  await clock.advance(5_000) // it has served well
  climber.watch(['websocket'])
  await clock.advance(1_000)
  expect(tried).toHaveLength(3)
})
