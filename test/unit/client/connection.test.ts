import { describe, expect, test } from 'vitest'
import { createConnection, type Passenger } from '../../../client/connection/connection.ts'
import { healthyAfterMs } from '../../../client/connection/machine.ts'
import { resolveOptions } from '../../../client/options.ts'
import type { Loss, Transport, TransportReports } from '../../../client/transports/transport.ts'
import { SluiceError } from '../../../shared/errors.ts'
import { createFakeClock } from '../../kit/index.ts'

const cut: Loss = { why: new SluiceError('CONNECTION_LOST', 'A test cut it.') }

/** A transport whose peer is the test. */
class Fake {
  closed = false
  probes = 0
  readonly transport: Transport
  readonly reports: TransportReports

  constructor(kind: Transport['kind'], reports: TransportReports) {
    this.reports = reports
    this.transport = {
      kind,
      request: null,
      subscribe: () => {},
      unsubscribe: () => {},
      probe: () => (this.probes += 1),
      close: () => (this.closed = true),
    }
  }
}

function create() {
  const clock = createFakeClock()
  const made: Fake[] = []
  const told: string[] = []
  const options = resolveOptions({
    url: 'http://a',
    transport: 'sse',
    clock,
    retryDelayMs: attempt => 1_000 * (attempt + 1),
    closeWhenIdleMs: 5_000,
    onError: error => told.push(`onError: ${error.message}`),
  })
  const connection = createConnection(options, (kind, reports) => {
    const fake = new Fake(kind, reports)
    made.push(fake)
    return fake.transport
  })
  const passenger = {
    wanted: true,
    owed: false,
    board: () => told.push('board'),
    opened: () => told.push('opened'),
    interrupted: () => told.push('interrupted'),
    left: () => told.push('left'),
    lost: () => told.push('lost'),
    closed: () => told.push('closed'),
    awaits: () => passenger.owed,
  } satisfies Passenger & { owed: boolean } as Passenger & { wanted: boolean; owed: boolean }
  connection.carry(passenger)
  // Of two requests, 1 and 2.
  for (let id = 1; id <= 2; id++) connection.nextId(answer => told.push(answer.type))
  const last = () => made.at(-1) as Fake // one was made
  return { clock, connection, made, told, passenger, last, at: () => connection.get().at }
}

describe('a connection', () => {
  test('opens when it is wanted, once, however often that is said', () => {
    const { connection, made, told, at } = create()
    connection.want()
    connection.want()
    expect([made.length, at()]).toEqual([1, 'opening'])
    made[0]?.reports.opened()
    connection.want()
    expect([made.length, at(), told]).toEqual([1, 'ready', ['board', 'opened']])
  })

  test('comes back after its delay, and never with two timers or two attempts', async () => {
    const { connection, clock, made, last, at } = create()
    connection.want()
    for (let failures = 1; failures <= 5; failures++) {
      last().reports.lost(cut)
      expect([at(), clock.pending]).toEqual(['waiting', 1])
      await clock.advance(1_000 * (failures + 1))
      expect([at(), clock.pending, made.length]).toEqual(['opening', 0, failures + 1])
    }
  })

  test('refuses what a replaced transport still has to say', async () => {
    const { connection, clock, made, told, last, at } = create()
    connection.want()
    const [old] = made
    old?.reports.opened()
    old?.reports.lost(cut)
    await clock.advance(10_000)
    last().reports.opened()
    told.length = 0

    old?.reports.opened()
    old?.reports.heard()
    old?.reports.received({ type: 'stopped', id: 1 })
    old?.reports.received({ type: 'reconnect' })
    old?.reports.interrupted([1], cut)
    old?.reports.lost(cut)
    old?.reports.lost({ ...cut, final: true })
    expect([at(), told, made.length]).toEqual(['ready', [], 2])
  })

  test('told to leave, it keeps the old transport for the answers that are due, and no longer', async () => {
    const { connection, clock, passenger, made, told, at } = create()
    connection.want()
    const [old] = made
    old?.reports.opened()
    passenger.owed = true
    old?.reports.received({ type: 'reconnect' })
    expect([at(), old?.closed]).toEqual(['waiting', false])
    await clock.advance(2_000)
    expect(at()).toBe('opening')
    old?.reports.received({ type: 'data', id: 1, eventId: undefined, data: 5, size: 1 })
    passenger.owed = false
    old?.reports.received({ type: 'data', id: 2, eventId: undefined, data: 6, size: 1 })
    expect(old?.closed).toBe(true)
    expect(told).toEqual(['board', 'opened', 'left', 'board', 'data', 'data', 'lost'])
  })

  test('given a time to leave in, it serves until a moment of its choice, and has one timer for that', async () => {
    const { connection, clock, made, told, last, at } = create()
    connection.want()
    last().reports.opened()
    last().reports.heard()
    await clock.advance(healthyAfterMs)
    last().reports.received({ type: 'reconnect', withinMs: 60_000 })
    last().reports.received({ type: 'reconnect', withinMs: 60_000 })
    expect([at(), made.length, clock.pending]).toEqual(['ready', 1, 1])
    const leavesAt = Number(clock.next)
    await clock.advance(leavesAt - clock.now() - 1)
    last().reports.received({ type: 'data', id: 1, eventId: undefined, data: 5, size: 1 })
    expect([at(), told.at(-1)]).toEqual(['ready', 'data'])
    await clock.advance(1)
    expect([at(), made.length, clock.pending]).toEqual(['opening', 2, 0])
    expect(leavesAt).toBeGreaterThan(healthyAfterMs)
    expect(leavesAt).toBeLessThan(healthyAfterMs + 60_000)
  })

  test('lost before that moment, it forgets about it', async () => {
    const { connection, clock, made, last, at } = create()
    connection.want()
    last().reports.opened()
    last().reports.received({ type: 'reconnect', withinMs: 60_000 })
    last().reports.lost(cut)
    await clock.advance(5_000)
    last().reports.opened()
    await clock.advance(60_000)
    expect([at(), made.length, clock.pending]).toEqual(['ready', 2, 0])
  })

  test('waits ten seconds for those answers at the most', async () => {
    const { connection, clock, passenger, made, told } = create()
    connection.want()
    made[0]?.reports.opened()
    passenger.owed = true
    made[0]?.reports.received({ type: 'reconnect' })
    await clock.advance(9_999)
    expect(made[0]?.closed).toBe(false)
    await clock.advance(1)
    expect([made[0]?.closed, told.at(-1)]).toEqual([true, 'lost'])
  })

  test('rests when nothing has needed it for a while, and gives up waiting at once', async () => {
    const { connection, clock, passenger, made, last, at } = create()
    connection.want()
    last().reports.opened()
    passenger.wanted = false
    connection.mayRest()
    await clock.advance(4_999)
    expect(at()).toBe('ready')
    connection.want() // needed again in between
    await clock.advance(5_000)
    expect(at()).toBe('ready')
    connection.mayRest()
    await clock.advance(5_000)
    expect([at(), made[0]?.closed, clock.pending]).toEqual(['idle', true, 0])

    passenger.wanted = true
    connection.want()
    last().reports.lost(cut)
    expect(at()).toBe('waiting')
    passenger.wanted = false
    connection.mayRest()
    expect([at(), clock.pending]).toEqual(['idle', 0])
  })

  test('trap 6 and 11: closed, it leaves no timer, and nothing opens it again', async () => {
    const { connection, clock, passenger, made, told, last, at } = create()
    connection.want()
    last().reports.lost(cut)
    connection.close()
    expect([at(), clock.pending, told.at(-1)]).toEqual(['closed', 0, 'closed'])
    connection.want()
    connection.wake()
    connection.close()
    await clock.advance(3_600_000)
    expect([at(), made.length, passenger.wanted]).toEqual(['closed', 1, true])
  })

  test('trap 11: closed while it had nothing to do, it leaves no timer either', () => {
    const { connection, clock, passenger, last } = create()
    connection.want()
    last().reports.opened()
    passenger.wanted = false
    connection.mayRest()
    expect(clock.pending).toBe(1)
    connection.close()
    expect(clock.pending).toBe(0)
  })

  test('sent away for good by a server, it asks again when something new is wanted', () => {
    const { connection, made, last, at } = create()
    connection.want()
    last().reports.lost({ ...cut, final: true })
    expect(at()).toBe('closed')
    connection.want()
    expect([at(), made.length]).toEqual(['opening', 2])
  })

  test('makes sure of its peer on a hint, and waits no longer where it waits', () => {
    const { connection, made, last, at } = create()
    connection.want()
    last().reports.opened()
    connection.wake()
    expect(last().probes).toBe(1)
    last().reports.lost(cut)
    connection.wake()
    expect([at(), made.length]).toEqual(['opening', 2])
  })

  test('a better transport that works takes the place of the one that is there, and says from then on what comes', async () => {
    const { connection, clock, told, last, at } = create()
    connection.want()
    const old = last()
    old.reports.opened()
    const better = new Fake('websocket', old.reports)
    old.reports.replaced(better.transport, cut.why, later =>
      queueMicrotask(() => later.received({ type: 'stopped', id: 1 })),
    )
    await clock.advance(0)
    old.reports.received({ type: 'stopped', id: 1 })
    old.reports.lost(cut)
    expect(connection.get()).toMatchObject({ at: 'ready', transport: 'websocket' })
    expect([old.closed, better.closed]).toEqual([true, false])
    expect(told).toEqual(['board', 'opened', 'left', 'lost', 'board', 'opened', 'stopped'])
    connection.close()
    expect([at(), better.closed]).toEqual(['closed', true])
  })

  test('hands complaints, and what its listeners throw, to onError', () => {
    const { connection, told, last, at } = create()
    connection.subscribe(() => {
      throw new Error('of a listener')
    })
    connection.want()
    expect(told).toContain('onError: of a listener')
    expect(at()).toBe('opening')
    last().reports.received({ type: 'complaint', error: new Error('of the server') as never })
    expect(told.at(-1)).toBe('onError: of the server')
  })
})
