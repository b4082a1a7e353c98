/** Promise 3: answers that nobody reads are not piled up; who does not read is not read. */
import { initTRPC } from '@trpc/server'
import { serve } from 'trpc-sluice/server'
import { eventually } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { RawWebSocket } from '../interop/support/raw-websocket.ts'

const calls = 4_000
const answerBytes = 10_000

async function start(keepAlive: { enabled: boolean; pingMs?: number; pongWaitMs?: number }) {
  const t = initTRPC.create()
  const text = 'x'.repeat(answerBytes)
  let answered = 0
  const router = t.router({
    big: t.procedure.input(z.number()).query(async ({ input }) => {
      answered += 1
      return `${input} ${text}`
    }),
  })
  const server = await serve({ router, port: 0, host: '127.0.0.1', keepAlive })
  return { server, answered: () => answered, [Symbol.asyncDispose]: () => server.close() }
}

function ask(socket: RawWebSocket): void {
  for (let id = 1; id <= calls; id++) socket.send({ id, method: 'query', params: { path: 'big', input: id } })
}

test('who asks and asks and does not read costs a bounded amount of memory, and gets every answer when it reads', async () => {
  await using app = await start({ enabled: false })
  await using socket = await RawWebSocket.open(app.server.url)
  socket.pause()
  ask(socket)
  // Nothing is answered any more through many turns: the server has stopped reading.
  await eventually(async () => {
    const before = app.answered()
    for (let turn = 0; turn < 50; turn++) await new Promise(resolve => setTimeout(resolve, 2))
    return before > 0 && app.answered() === before
  })
  // 40 MB are asked for. What one read of the socket asks for is answered, and the kernel holds some.
  expect(app.server.sluice.stats().bufferedBytes).toBeLessThan(16_000_000)
  expect(app.answered()).toBeLessThan(calls / 2)

  socket.resume()
  await eventually(() => socket.frames.length === calls, { withinMs: 30_000 })
  const ids = socket.frames.map(frame => (JSON.parse(frame) as { id: number }).id)
  expect(ids).toEqual(Array.from({ length: calls }, (_, i) => i + 1))
})

test('it is still noticed when it has gone silent, and cut off', async () => {
  await using app = await start({ enabled: true, pingMs: 100, pongWaitMs: 100 })
  await using socket = await RawWebSocket.open(app.server.url)
  socket.pause()
  ask(socket)
  await eventually(() => app.answered() > 0)
  await eventually(() => app.server.sluice.stats().connections.websocket === 0)
})
