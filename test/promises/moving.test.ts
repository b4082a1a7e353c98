/** Servers come and go under their clients: nobody loses anything by it, and nobody stampedes. */
import { initTRPC } from '@trpc/server'
import { describe, expect, test } from 'vitest'
import { createTopic, resumable, serve, type Served } from 'trpc-sluice/server'
import { createFakeClock, createHarness, eventually } from 'trpc-sluice/testing'
import { z } from 'zod'
import { RawWebSocket } from '../interop/support/raw-websocket.ts'

const t = initTRPC.create()

function createApp() {
  const room = createTopic({ name: 'room', event: z.object({ n: z.number() }) })
  const router = t.router({
    onRoom: t.procedure
      .input(resumable())
      .subscription(({ input, signal }) => room.subscribe('general', { after: input.lastEventId, signal })),
  })
  return { room, router }
}

describe.each(['websocket', 'stream', 'sse'] as const)('over %s', transport => {
  test('a connection that has grown old is left for another, and its stream misses nothing', async () => {
    const { room, router } = createApp()
    const clock = createFakeClock()
    let hellos = 0
    await using app = await createHarness({
      router,
      transport,
      createContext() {
        hellos++
        return {}
      },
      sluice: { clock, keepAlive: { enabled: false }, limits: { maxConnectionAgeMs: 60_000 } },
    })
    const seen = app.record(client => client.onRoom, {}, { numberOf: ({ data }) => data.n })
    await seen.started
    for (let n = 1; n <= 4; n++) {
      await room.publish('general', { n })
      // Nothing is due before four fifths of the age.
      await clock.advance(47_000)
      await seen.until(n)
      expect(hellos).toBe(n)
      await clock.advance(13_000)
      await eventually(() => hellos > n && app.sluice.stats().subscriptions === 1)
    }
    expect(seen.report(4)).toEqual({ delivered: 4, missing: [], repeated: [], outOfOrder: [] })
  })
})

test('who does not leave when asked to is closed half a minute later', async () => {
  const { router } = createApp()
  const clock = createFakeClock()
  const sluice = { clock, keepAlive: { enabled: false }, limits: { maxConnectionAgeMs: 60_000 } }
  await using app = await createHarness({ router, sluice })
  const socket = await RawWebSocket.open(app.url)
  await clock.advance(60_000)
  await socket.until('reconnect')
  await clock.advance(30_000)
  expect((await socket.closed).code).toBe(1012)
})

test.each<[string, (served: Served) => Promise<void>]>([
  ['is drained', ({ sluice }) => sluice.drain({ withinMs: 20_000, spreadMs: 10_000 })],
  ['is closed within a time', served => served.close({ withinMs: 20_000, spreadMs: 10_000 })],
  ['is closed over a time', served => served.close({ spreadMs: 10_000 })],
])('a server that %s asks its clients to leave one after another, over the time given', async (_, leave) => {
  const { router } = createApp()
  const clock = createFakeClock()
  const app = await serve({ router, port: 0, host: '127.0.0.1', clock, keepAlive: { enabled: false } })
  await using _app = app
  const sockets = await Promise.all(Array.from({ length: 10 }, () => RawWebSocket.open(app.url)))
  for (const socket of sockets) socket.subscribe(1, 'onRoom', {})
  await Promise.all(sockets.map(socket => socket.until('started')))
  const asked = () =>
    sockets.filter(socket => socket.frames.some(frame => frame.includes('reconnect'))).length

  const left = leave(app)
  await eventually(() => asked() === 1)
  await clock.advance(4_999)
  await eventually(() => asked() === 5)
  await clock.advance(5_000)
  await eventually(() => asked() === 10)
  for (const socket of sockets) socket.send({ id: 1, method: 'subscription.stop' })
  await left
  expect((await Promise.all(sockets.map(socket => socket.closed))).every(({ code }) => code === 1012)).toBe(
    true,
  )
})
