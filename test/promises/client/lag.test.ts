/** Promise 3: a client that asks is told how far behind it is. */
import { createTRPCClient } from '@trpc/client'
import { initTRPC } from '@trpc/server'
import { iterate, sluiceLink, type Lag, type TransportKind } from 'trpc-sluice/client'
import { createTopic, resumable, serve } from 'trpc-sluice/server'
import { eventually } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { RawResponse } from '../../interop/support/raw-http.ts'
import { RawWebSocket } from '../../interop/support/raw-websocket.ts'

const t = initTRPC.create()

async function start(transport: TransportKind = 'websocket') {
  const topic = createTopic({ name: 'lag', event: z.object({ n: z.number(), text: z.string() }) })
  const router = t.router({
    onEvent: t.procedure
      .input(resumable({}))
      .subscription(({ input, signal }) =>
        topic.subscribe('all', { after: input.lastEventId, from: 'start', signal }),
      ),
  })
  const server = await serve({ router, port: 0, host: '127.0.0.1' })
  const link = sluiceLink<typeof router>({ url: server.url, WebSocket, transport })
  const client = createTRPCClient<typeof router>({ links: [link] })
  const publish = async (count: number, text = '') => {
    for (let n = 1; n <= count; n++) await topic.publish('all', { n, text })
  }
  return {
    url: server.url,
    client,
    publish,
    async [Symbol.asyncDispose]() {
      link.close()
      await server.close()
    },
  }
}

test('over a WebSocket, also while its credit is spent; and when it has caught up', async () => {
  await using app = await start()
  const told: Lag[] = []
  const events = iterate(app.client.onEvent, {}, { maxBuffered: 4, onLag: lag => told.push(lag) })
  await app.publish(20)
  await eventually(() => told.length > 0)
  expect(told[0]?.events).toBe(16)
  expect(told[0]?.ms).toBeGreaterThan(0)
  for (let n = 1; n <= 20; n++) await events.next()
  await eventually(() => told.at(-1)?.events === 0)
  expect(told.at(-1)).toEqual({ events: 0, ms: 0 })
  await events.return?.()
})

test.each(['sse', 'stream'] as const)('over %s, although the connection is full', async transport => {
  await using app = await start(transport)
  await app.publish(250, 'x'.repeat(64 * 1024))
  const told: Lag[] = []
  const events = iterate(app.client.onEvent, {}, { maxBuffered: 1, onLag: lag => told.push(lag) })
  // As slowly as it takes: the connection has room again and again, and is full in between.
  let taken = 0
  while (told.length === 0 && taken < 250) {
    await events.next()
    taken += 1
    await new Promise(resolve => setTimeout(resolve, 15))
  }
  expect(told[0]?.events).toBeGreaterThan(0)
  expect(told[0]?.events).toBeLessThanOrEqual(250 - taken)
  await events.return?.()
})

test('nobody else is', async () => {
  await using app = await start()
  await using asked = await RawWebSocket.open(`${app.url}/?sluice=1`)
  await using unasked = await RawWebSocket.open(`${app.url}/?sluice=1`)
  await using stock = await RawWebSocket.open(app.url)
  await using response = await RawResponse.open(`${app.url}/onEvent?input={}&lag=1`)
  const credit = { events: 1, bytes: 1024 * 1024 }
  asked.subscribe(1, 'onEvent', {}, { credit, lag: true })
  unasked.subscribe(1, 'onEvent', {}, { credit })
  stock.subscribe(1, 'onEvent', {}, { credit, lag: true })
  await app.publish(5)
  await asked.until('"type":"lag","events":4,')
  await unasked.settled()
  expect(unasked.frames.join()).not.toContain('"lag"')
  await stock.until('"n":5')
  expect(stock.frames.join()).not.toContain('"lag"')
  await response.until('"n":5')
  expect(response.text).not.toContain('event: lag')
})
