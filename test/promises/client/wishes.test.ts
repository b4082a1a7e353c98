/** A server says when it would like to see its clients again, and they heed it; a hint makes them look after a line. */
import { createServer, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { createFakeClock, createHarness, eventually } from 'trpc-sluice/testing'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { healthyAfterMs } from '../../../client/connection/machine.ts'
import { RawWebSocket } from '../../interop/support/raw-websocket.ts'
import { listen } from '../../support/listen.ts'
import { carriers, createNumbers } from '../traps/app.ts'
import { connect, follow } from './connect.ts'

/** Refuses everything in this way. */
async function refusingServer(status: number, retryAfter: string) {
  let refused = 0
  const server = createServer((_, res) => {
    refused += 1
    res.writeHead(status, { 'retry-after': retryAfter }).end()
  })
  server.on('upgrade', (_: IncomingMessage, socket: Duplex) => {
    refused += 1
    socket.end(`HTTP/1.1 ${status} No\r\nConnection: close\r\nRetry-After: ${retryAfter}\r\n\r\n`)
  })
  return { ...(await listen(server)), refused: () => refused }
}

describe.each(carriers)('over %s', transport => {
  test.each([429, 503])('Retry-After of a %i is heeded, whatever hints come', async status => {
    await using server = await refusingServer(status, '40')
    const clock = createFakeClock()
    using client = connect({ url: server.url, transport, clock })
    const { told } = follow(client)
    const { connection } = client.link
    await eventually(() => connection.get().at === 'waiting')
    expect(connection.get()).toMatchObject({ until: 40_000, notBefore: 40_000, why: { data: { status } } })
    await clock.advance(39_999)
    connection.wake()
    expect([connection.get().at, server.refused()]).toEqual(['waiting', 1])
    await clock.advance(1)
    await eventually(() => server.refused() === 2)
    expect(told.filter(word => word.startsWith('error'))).toEqual([])
  })

  test('on a hint a dead line is given up after 2 s at the most, and replaced at once', async () => {
    const { router, publish } = createNumbers()
    const clock = createFakeClock()
    const patient = { clock, retryDelayMs: () => 3_600_000 }
    await using app = await createHarness({ router, transport, link: patient })
    const seen = app.record(client => client.onNumber, {})
    await seen.started
    await publish(1)
    await seen.until(1)
    app.proxy.stall()
    await publish(2)
    const { accepted } = app.proxy
    for (let hint = 0; hint < 4; hint++) {
      app.link.connection.wake()
      await clock.advance(500)
    }
    await eventually(() => app.proxy.accepted > accepted)
    app.proxy.resume()
    await seen.until(2)
    expect(seen.report(2)).toEqual({ delivered: 2, missing: [], repeated: [], outOfOrder: [] })
  })
})

test('on a hint a WebSocket that lives is left alone', async () => {
  let pongs = 0
  class Tapped extends WebSocket {
    constructor(url: string) {
      super(url)
      this.on('message', frame => (pongs += String(frame) === 'PONG' ? 1 : 0))
    }
  }
  const { router, asked } = createNumbers()
  const clock = createFakeClock()
  const link = { clock, WebSocket: Tapped }
  await using app = await createHarness({ router, transport: 'websocket', link })
  await app.record(client => client.onNumber, {}).started
  expect(pongs).toBe(0) // the answer to what it has asked for was sign of life enough
  for (const answers of [1, 2]) {
    app.link.connection.wake()
    await eventually(() => pongs === answers)
    await clock.advance(2_000)
  }
  expect([asked.length, app.proxy.accepted]).toEqual([1, 1])
})

test('clients that are asked to leave within a time do so one after another, and lose nothing', async () => {
  const { router, asked, publish } = createNumbers()
  await using app = await createHarness({ router, transport: 'websocket' })
  const clients = Array.from({ length: 20 }, (_, seed) => {
    const clock = createFakeClock({ seed })
    const { link, record } = app.connect({ clock })
    return { clock, link, seen: record(client => client.onNumber, {}) }
  })
  await Promise.all(clients.map(({ seen }) => seen.started))
  const aged = () => Promise.all(clients.map(({ clock }) => clock.advance(healthyAfterMs)))
  await aged()
  await using old = await RawWebSocket.open(app.url, {})
  await using ours = await RawWebSocket.open(`${app.url}/?sluice=1`, {})

  app.sluice.broadcastReconnectNotification({ withinMs: 10_000 })
  await Promise.all([old.count(1), ours.count(1)])
  expect(old.frames).toEqual(['{"id":null,"method":"reconnect"}'])
  expect(ours.frames).toEqual(['{"id":null,"method":"reconnect","params":{"withinMs":10000}}'])
  const until = async (total: number) => {
    await publish(total)
    await Promise.all(clients.map(({ seen }) => seen.until(total)))
  }
  await until(1)
  const leaving = () =>
    clients.filter(({ clock }) => clock.next !== null && clock.next <= clock.now() + 10_000)
  expect(leaving()).toHaveLength(20)
  const moments = clients.map(({ clock }) => Number(clock.next) - clock.now()).toSorted((a, b) => a - b)
  expect(moments[0]).toBeLessThan(3_000)
  expect(moments[9]).toBeGreaterThan(2_000)
  expect(moments[19]).toBeGreaterThan(7_000)

  for (const [index, { clock }] of clients.entries()) {
    await clock.advance(10_000)
    await eventually(() => asked.length === 21 + index)
    await until(index + 2)
  }
  for (const { seen } of clients) {
    expect(seen.report(21)).toEqual({ delivered: 21, missing: [], repeated: [], outOfOrder: [] })
  }
})
