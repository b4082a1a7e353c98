/**
 * Promise 3: a connection that does not read costs a fixed amount of memory, whatever is published, and has
 * everything, once and in order, when it reads again. On disk, so that what is published is not what is measured.
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { initTRPC } from '@trpc/server'
import { createParser } from 'eventsource-parser'
import { createTopic, resumable, serve } from 'trpc-sluice/server'
import { lmdbStore } from 'trpc-sluice/stores/lmdb'
import { createRecorder } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const t = initTRPC.create()
const eventBytes = 16 * 1024
const perPhase = 1_500 // 24 MB, far beyond what the kernel's buffers take from a reader that has stopped

/** A reader that can stop. */
interface Reader {
  readonly seen: ReturnType<typeof createRecorder<{ n: number }>>
  pause(): void
  resume(): void
  close(): void
}

async function openWebSocket(url: string): Promise<Reader> {
  const socket = new WebSocket(url.replace('http', 'ws'))
  await once(socket, 'open')
  const seen = createRecorder<{ n: number }>()
  const started = new Promise<void>(resolve => {
    socket.on('message', (message: Buffer) => {
      const { result } = JSON.parse(message.toString()) as {
        result: { type: string; data?: { data: { n: number } } }
      }
      if (result.data) seen.push({ n: result.data.data.n })
      else resolve()
    })
  })
  socket.send(JSON.stringify({ id: 1, method: 'subscription', params: { path: 'onEvent', input: {} } }))
  await started
  return {
    seen,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.terminate(),
  }
}

async function openEventStream(url: string): Promise<Reader> {
  const request = http.get(`${url}/onEvent?input={}`)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const seen = createRecorder<{ n: number }>()
  const connected = new Promise<void>(resolve => {
    const parser = createParser({
      onEvent({ event, data }) {
        if (event === 'connected') resolve()
        else seen.push({ n: (JSON.parse(data) as { n: number }).n })
      },
    })
    response.setEncoding('utf8').on('data', (text: string) => parser.feed(text))
  })
  await connected
  return {
    seen,
    pause: () => response.pause(),
    resume: () => response.resume(),
    close: () => request.destroy(),
  }
}

async function memoryAfterGc(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    await new Promise(resolve => setImmediate(resolve))
    collectGarbage()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

for (const [carrier, open] of [
  ['websocket', openWebSocket],
  ['sse', openEventStream],
] as const) {
  test(`readers that have stopped cost a fixed amount of memory over ${carrier}, and miss nothing`, async () => {
    const path = await mkdtemp(join(tmpdir(), 'sluice-bounded-'))
    const store = lmdbStore({ path })
    const topic = createTopic({ name: 'big', event: z.object({ n: z.number(), text: z.string() }), store })
    const router = t.router({
      onEvent: t.procedure
        .input(resumable())
        .subscription(({ input, signal }) => topic.subscribe('k', { after: input.lastEventId, signal })),
    })
    const server = await serve({ router, port: 0, host: '127.0.0.1', keepAlive: { enabled: false } })
    let published = 0
    const publish = async () => {
      const text = 'x'.repeat(eventBytes)
      for (let left = perPhase; left > 0; left -= 100) {
        await Promise.all(Array.from({ length: 100 }, () => topic.publish('k', { n: ++published, text })))
      }
    }
    try {
      const healthy = await open(server.url)
      const first = await open(server.url)
      first.pause()
      await publish()
      await healthy.seen.until(published, { withinMs: 30_000 })
      const withOne = await memoryAfterGc()

      const stopped = await Promise.all(Array.from({ length: 10 }, () => open(server.url)))
      const before = published
      for (const reader of stopped) reader.pause()
      await publish()
      await healthy.seen.until(published, { withinMs: 30_000 })
      const withEleven = await memoryAfterGc()
      // Each was offered 24 MB. What it may cost: an outlet at its mark with one batch above it, and a page read ahead.
      expect((withEleven - withOne) / stopped.length).toBeLessThan(2_000_000)

      for (const reader of [first, ...stopped]) reader.resume()
      await Promise.all(
        [first, ...stopped].map(({ seen }) =>
          seen.until(items => items.at(-1)?.n === published, { withinMs: 30_000 }),
        ),
      )
      const clean = { missing: [], repeated: [], outOfOrder: [] }
      expect(first.seen.report(published)).toMatchObject({ delivered: published, ...clean })
      const range = Array.from({ length: published - before }, (_, i) => before + 1 + i)
      for (const { seen } of stopped)
        expect(seen.report(range)).toMatchObject({ delivered: range.length, ...clean })
      for (const reader of [healthy, first, ...stopped]) reader.close()
    } finally {
      await server.close()
      await store.close()
      await rm(path, { recursive: true, force: true })
    }
  })
}
