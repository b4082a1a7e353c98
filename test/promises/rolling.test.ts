/**
 * A deploy: three servers on one log are replaced one after another while events are published, and then one of them
 * is killed. Every client has every event, once, in order. `npm run test:rolling -- --clients 1000` is the same with
 * more clients, and shows how long the longest of their pauses was.
 */
import { createTRPCClient } from '@trpc/client'
import { sluiceLink } from 'trpc-sluice/client'
import { createTopic } from 'trpc-sluice/server'
import { Scope } from 'trpc-sluice/shared'
import { lmdbStore } from 'trpc-sluice/stores/lmdb'
import { createRecorder } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { createFolder } from '../stores/support/folder.ts'
import { loadProgram } from '../support/program.ts'
import { createBalancer, type Balancer } from './rolling/balancer.ts'
import type { Router } from './rolling/node.ts'

const clientCount = Number(process.env['ROLLING_CLIENTS'] ?? 60)
/** All clients are one process, which is to have time for them. */
const everyMs = Math.max(20, clientCount / 3)
const program = await loadProgram(new URL('rolling/node.ts', import.meta.url))

/** Starts a server and sends people there; both ways of ending it settle when its process is gone. */
async function startNode(path: string, balancer: Balancer) {
  const server = program.start(path)
  const port = await server.port()
  balancer.add(port)
  return {
    async drain() {
      balancer.remove(port)
      server.kill('SIGTERM')
      expect(await server.ended()).toBe(0)
    },
    async kill() {
      server.kill('SIGKILL')
      await server.ended()
      balancer.remove(port)
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** A client that sees the log from its beginning, and how long it ever had to wait for the next event. */
function startClient(url: string, transport: 'websocket' | 'sse') {
  const link = sluiceLink<Router>({ url, transport, WebSocket, backoff: { baseMs: 50, maxMs: 1_000 } })
  const client = createTRPCClient<Router>({ links: [link] })
  const seen = createRecorder<{ data: { n: number } }>({ numberOf: ({ data }) => data.n })
  let longestMs = 0
  let lastAt = Infinity
  client.onLog.subscribe(
    {},
    {
      onData(event) {
        const now = performance.now()
        longestMs = Math.max(longestMs, now - lastAt)
        lastAt = now
        seen.push(event as { data: { n: number } }) // the log has no fold and no gaps: events are all that comes
      },
      onError: error => seen.end(error),
    },
  )
  return { seen, longestMs: () => longestMs, [Symbol.dispose]: () => link.close() }
}

test('three servers are replaced one by one and a fourth is killed: every client has every event, once, in order', async () => {
  await using scope = new Scope()
  const folder = await createFolder()
  scope.defer(() => folder.remove())
  const store = lmdbStore({ path: folder.path })
  scope.defer(() => store.close())
  const log = createTopic({ name: 'log', event: z.object({ n: z.number() }), store })
  const balancer = scope.use(await createBalancer())
  const start = async () => scope.use(await startNode(folder.path, balancer))
  const nodes = await Promise.all([start(), start(), start()])
  const clients = Array.from({ length: clientCount }, (_, i) =>
    scope.use(startClient(balancer.url, i % 2 ? 'websocket' : 'sse')),
  )
  await log.publish('all', { n: 1 })
  await Promise.all(clients.map(({ seen }) => seen.until(1, { withinMs: 60_000 })))

  let published = 1
  let publishing = true
  const publisher = (async () => {
    while (publishing) {
      await log.publish('all', { n: ++published })
      await new Promise(resolve => setTimeout(resolve, everyMs))
    }
  })()
  const fresh = []
  for (const node of nodes) {
    fresh.push(await start())
    await node.drain()
  }
  await fresh[0]?.kill()
  await Promise.all(clients.map(({ seen }) => seen.until(published + 5, { withinMs: 60_000 })))
  publishing = false
  await publisher
  await Promise.all(clients.map(({ seen }) => seen.until(published, { withinMs: 60_000 })))

  for (const { seen } of clients) {
    expect(seen.report(published)).toEqual({
      delivered: published,
      missing: [],
      repeated: [],
      outOfOrder: [],
    })
  }
  const pauses = clients.map(({ longestMs }) => longestMs()).toSorted((a, b) => a - b)
  const at = (share: number) => Math.round(pauses[Math.floor(share * (pauses.length - 1))] ?? 0)
  console.log(
    `${clientCount} clients, ${published} events each; the longest pause of a client: median ${at(0.5)} ms, ` +
      `p99 ${at(0.99)} ms, longest ${at(1)} ms`,
  )
})
