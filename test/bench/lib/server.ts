/**
 * The server under measurement, as a process of its own: the same router over tRPC's adapters or over ours. Told by
 * IPC what to publish; answers with the CPU time that it took.
 */
import { EventEmitter, on } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { initTRPC, tracked } from '@trpc/server'
import { createHTTPHandler } from '@trpc/server/adapters/standalone'
import { applyWSSHandler } from '@trpc/server/adapters/ws'
import superjson from 'superjson'
import { createSluice, createTopic } from 'trpc-sluice/server'
import { WebSocketServer } from 'ws'
import { z } from 'zod'
import type { Command, Implementation, Report } from './messages.ts'
import { createEvent, Event } from './event.ts'

const t = initTRPC.create({ transformer: superjson })

/** A generator that never waits for anything but its reader: a file, a fast model. */
const flood = t.procedure.input(z.object({ events: z.number() })).subscription(async function* ({ input }) {
  for (let n = 1; n <= input.events; n++) yield createEvent(n)
  await new Promise(() => {}) // the end of the measurement, not of the stream
})

/** The usual recipe for stock tRPC: an emitter, and a generator per subscriber. */
function stock(server: http.Server) {
  const emitter = new EventEmitter().setMaxListeners(0)
  const router = t.router({
    flood,
    onEvent: t.procedure.input(z.unknown()).subscription(async function* ({ signal }) {
      for await (const [n] of on(emitter, 'event', signal ? { signal } : {})) {
        yield tracked(String(n), createEvent(n as number))
      }
    }),
  })
  applyWSSHandler({ wss: new WebSocketServer({ server }), router })
  server.on('request', createHTTPHandler({ router }))
  return (n: number) => void emitter.emit('event', n)
}

function sluice(server: http.Server) {
  const topic = createTopic({ name: 'bench', event: Event, retain: { maxEvents: 2048 } })
  const router = t.router({
    flood,
    onEvent: t.procedure.input(z.unknown()).subscription(({ signal }) => topic.subscribe('all', { signal })),
  })
  const { node, upgrade } = createSluice({ router })
  server.on('request', node)
  server.on('upgrade', upgrade)
  return async (n: number) => void (await topic.publish('all', createEvent(n)))
}

const implementations = { stock, sluice } satisfies Record<Implementation, unknown>
const [name = 'sluice'] = process.argv.slice(2) as [Implementation]
const server = http.createServer()
const publish = implementations[name](server)
const send = (report: Report) => process.send?.(report)

let n = 0
let spent: NodeJS.CpuUsage | null = null

process.on('message', async (command: Command) => {
  switch (command.do) {
    case 'tick':
      for (let i = 0; i < command.events; i++) void publish(++n)
      break
    case 'start':
      globalThis.gc?.()
      spent = process.cpuUsage()
      break
    case 'stop': {
      const { user, system } = process.cpuUsage(spent ?? undefined)
      send({ is: 'spent', cpuMicros: user + system, rssBytes: process.memoryUsage.rss() })
    }
  }
})
server.listen(0, '127.0.0.1', () => send({ is: 'ready', port: (server.address() as AddressInfo).port }))
