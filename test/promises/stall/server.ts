/**
 * A server as a process of its own, so that its memory is its own: told by IPC what to publish, it answers with what
 * it holds. On disk, so that what is published is not what is measured.
 */
import { readFileSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { initTRPC } from '@trpc/server'
import { z } from 'zod'
// By path: for a child process, the package's name may mean what was built of it last.
import { createSluice, createTopic, resumable, type WhenSlow } from '../../../server/index.ts'
import { lmdbStore } from '../../../server/stores/lmdb/index.ts'
import type { Command, Report } from './messages.ts'

const Event = z.object({ n: z.number(), at: z.number(), text: z.string() })
const store = lmdbStore({ path: process.argv[2] as string }) // given by whoever starts this process
const topic = createTopic({ name: 'big', event: Event, store })

const t = initTRPC.create()
const subscription = (whenSlow: WhenSlow<z.infer<typeof Event>>) =>
  t.procedure
    .input(resumable())
    .subscription(({ input, signal }) => topic.subscribe('k', { after: input.lastEventId, whenSlow, signal }))
const router = t.router({
  wait: subscription('wait'),
  conflate: subscription({ policy: 'conflate', by: ({ n }) => String(n % 10) }),
  dropOldest: subscription({ policy: 'drop-oldest', maxLag: 100 }),
  disconnect: subscription({ policy: 'disconnect', afterMs: 2_000 }),
})
// Those who do not read answer no heartbeat either.
const sluice = createSluice({ router, keepAlive: { enabled: false } })
const server = http.createServer(sluice.node).on('upgrade', sluice.upgrade)
const server2 = http2.createServer(sluice.node)

const send = (report: Report) => process.send?.(report)
let published = 0

process.on('message', async (command: Command) => {
  if (command.do === 'publish') {
    const text = 'x'.repeat(command.bytes)
    const now = () => performance.timeOrigin + performance.now()
    await Promise.all(
      Array.from({ length: command.count }, () => topic.publish('k', { n: ++published, at: now(), text })),
    )
    send({ is: 'published' })
  } else {
    for (let i = 0; i < 4; i++) {
      await new Promise(resolve => setImmediate(resolve))
      globalThis.gc?.()
    }
    const { heapUsed, external, rss } = process.memoryUsage()
    const { dropped, subscribers } = sluice.stats()
    send({
      is: 'measured',
      heapBytes: heapUsed + external,
      residentBytes: rss,
      anonymousBytes: anonymousBytes(),
      disconnected: dropped.disconnect,
      behind: subscribers.behind,
    })
  }
})

/** What the process has of the machine, without the pages of the store's file, which the kernel only lends. */
function anonymousBytes(): number | null {
  try {
    const [, kilobytes] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
    return kilobytes === undefined ? null : Number(kilobytes) * 1024
  } catch {
    return null // a system without /proc
  }
}

process.once('disconnect', () => process.exit())

const listening = [server, server2].map(
  one =>
    new Promise<number>(resolve =>
      one.listen(0, '127.0.0.1', () => resolve((one.address() as AddressInfo).port)),
    ),
)
const [port = 0, port2 = 0] = await Promise.all(listening)
send({ is: 'ready', port, port2 })
