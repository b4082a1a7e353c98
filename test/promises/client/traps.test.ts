/** Traps of DESIGN.md section 8 that a client can fall into, where no other file has them. */
import { initTRPC } from '@trpc/server'
import { createTopic, memoryStore, resumable } from 'trpc-sluice/server'
import { createHarness, eventually } from 'trpc-sluice/testing'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { connect, follow } from './connect.ts'
import { startServer } from './server.ts'

const t = initTRPC.create()

describe.each(['websocket', 'sse'] as const)('over %s', transport => {
  test('trap 1: a subscription that never saw an event resumes as exactly as one that did', async () => {
    const topic = createTopic({ name: 'quiet', event: z.object({ n: z.number() }), store: memoryStore() })
    const router = t.router({
      onNumber: t.procedure
        .input(resumable())
        .subscription(({ input, signal }) => topic.subscribe('k', { after: input.lastEventId, signal })),
    })
    await topic.publish('k', { n: -1 }) // before its time
    await using app = await createHarness({ router, transport })
    const seen = app.record(client => client.onNumber, {})
    await seen.started
    app.proxy.refuse()
    await app.proxy.cut()
    await topic.publish('k', { n: 1 })
    await topic.publish('k', { n: 2 })
    app.proxy.accept()
    await seen.until(2)
    expect(seen.numbers).toEqual([1, 2])
  })

  test('trap 14: nothing is sent late on purpose', async () => {
    await using server = await startServer('Sluice')
    using client = connect({ url: server.url, transport })
    await client.client.echo.query('connected')
    const before = performance.now()
    for (let i = 0; i < 100; i++) await client.client.echo.query(i)
    expect((performance.now() - before) / 100).toBeLessThan(50)
  })
})

test('trap 10: what is late for an earlier asking finds nobody, for no id is used twice', async () => {
  await using server = await startServer('Sluice')
  const asked: unknown[] = []
  class Listening extends WebSocket {
    override send(data: string): void {
      for (const message of JSON.parse(data === 'PING' ? '[]' : `[${data}]`).flat()) asked.push(message.id)
      super.send(data)
    }
  }
  using client = connect({ url: server.url, transport: 'websocket', WebSocket: Listening })
  const { seen } = follow(client)
  for (let n = 1; n <= 5; n++) {
    server.log.publish(n)
    await seen.until(n)
    server.cut()
  }
  expect(asked.length).toBeGreaterThanOrEqual(5)
  expect(new Set(asked).size).toBe(asked.length)
})

test('trap 20: a read that rejects with a TypeError, as on iOS, is a loss and no error', async () => {
  await using server = await startServer('Sluice')
  const bodies: ReadableStreamDefaultController<Uint8Array>[] = []
  const failing: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    const reader = response.body?.getReader()
    const body = new ReadableStream<Uint8Array>({
      start: controller => void bodies.push(controller),
      async pull(controller) {
        const chunk = await reader?.read()
        if (chunk?.value) controller.enqueue(chunk.value)
      },
    })
    return new Response(body, { headers: response.headers })
  }
  using client = connect({ url: server.url, transport: 'sse', fetch: failing })
  const { seen, told } = follow(client)
  server.log.publish(1)
  await seen.until(1)
  bodies[0]?.error(new TypeError('Load failed'))
  await eventually(() => bodies.length === 2)
  server.log.publish(2)
  await seen.until(2)
  expect(seen.numbers).toEqual([1, 2])
  expect(told.filter(word => word.startsWith('error'))).toEqual([])
})
