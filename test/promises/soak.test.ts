/** Promise 4 in the large: after thousands of subscriptions and connections nothing is left, and the heap is flat. */
import { once } from 'node:events'
import { initTRPC } from '@trpc/server'
import { createTopic, serve } from 'trpc-sluice/server'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { collectGarbage } from '../support/memory.ts'

const t = initTRPC.create()
const topic = createTopic({ name: 'soak', event: z.object({ n: z.number() }), lingerMs: 0 })
let running = 0

const router = t.router({
  fromTopic: t.procedure.subscription(({ signal }) => topic.subscribe('k', { signal })),
  fromGenerator: t.procedure.subscription(async function* ({ signal }) {
    running++
    try {
      for await (const [, event] of topic.subscribe('k', { signal })) yield event
    } finally {
      running--
    }
  }),
})
const paths = ['fromTopic', 'fromGenerator']

/** Waits for so many messages of a type. */
function hear(socket: WebSocket, type: string, count: number): Promise<void> {
  return new Promise(resolve => {
    let left = count
    const onMessage = (data: Buffer) => {
      for (const _match of data.toString().matchAll(new RegExp(`"type":"${type}"`, 'g'))) left--
      if (left > 0) return
      socket.off('message', onMessage)
      resolve()
    }
    socket.on('message', onMessage)
  })
}

async function open(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url)
  await once(socket, 'open')
  return socket
}

/** Subscribes and unsubscribes on one connection, so many at a time. */
async function subscribeAndLeave(socket: WebSocket, count: number, firstId: number): Promise<void> {
  const ids = Array.from({ length: count }, (_, i) => firstId + i)
  const started = hear(socket, 'started', count)
  socket.send(
    JSON.stringify(
      ids.map(id => ({ id, method: 'subscription', params: { path: paths[id % paths.length] } })),
    ),
  )
  await started
  const stopped = hear(socket, 'stopped', count)
  socket.send(JSON.stringify(ids.map(id => ({ id, method: 'subscription.stop' }))))
  await stopped
}

const turn = () => new Promise(resolve => setImmediate(resolve))

async function heapAfterGc(): Promise<number> {
  for (let i = 0; i < 5; i++) {
    await turn()
    collectGarbage()
  }
  return process.memoryUsage().heapUsed
}

/** What keeps an event loop busy, by kind. */
function resources(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

test('10,000 subscriptions come and go and leave nothing behind', async () => {
  // What it sends in a few seconds is more than a stranger may.
  const limits = { maxMessageBurst: 1_000_000 }
  await using server = await serve({ router, port: 0, host: '127.0.0.1', limits })
  const socket = await open(server.url.replace('http', 'ws'))
  const cycle = async (times: number, firstId: number) => {
    for (let i = 0; i < times; i++) await subscribeAndLeave(socket, 100, firstId + i * 100)
  }
  await cycle(20, 0) // until the code is warm and its caches are filled
  const heap = await heapAfterGc()
  const before = resources()
  await cycle(100, 1_000_000)
  await turn() // what the last answers have waited for
  expect(running).toBe(0)
  expect(server.sluice.stats().subscriptions).toBe(0)
  expect(resources()).toEqual(before)
  // The tables of weak maps grow in steps of some hundred kilobytes, and do not go on growing (measured over 60,000).
  // Anything kept per subscription would be ten megabytes.
  expect((await heapAfterGc()) - heap).toBeLessThan(2_000_000)
  socket.terminate()
})

test('1,000 connections come and go and leave nothing behind, cut or closed', async () => {
  await using server = await serve({ router, port: 0, host: '127.0.0.1' })
  const url = server.url.replace('http', 'ws')
  const cycle = async (times: number) => {
    for (let i = 0; i < times; i++) {
      const sockets = await Promise.all(Array.from({ length: 10 }, () => open(url)))
      const started = sockets.map(socket => hear(socket, 'started', 1))
      for (const [id, socket] of sockets.entries()) {
        socket.send(
          JSON.stringify({ id, method: 'subscription', params: { path: paths[id % paths.length] } }),
        )
      }
      await Promise.all(started)
      const closed = sockets.map(socket => once(socket, 'close'))
      for (const [id, socket] of sockets.entries()) {
        if (id % 2) socket.terminate()
        else socket.close()
      }
      await Promise.all(closed)
    }
    while (server.sluice.stats().connections.websocket > 0 || running > 0) await turn()
  }
  await cycle(10)
  const heap = await heapAfterGc()
  const before = resources()
  await cycle(100)
  await turn()
  expect(server.sluice.stats().subscriptions).toBe(0)
  expect(resources()).toEqual(before)
  expect((await heapAfterGc()) - heap).toBeLessThan(2_000_000)
})
