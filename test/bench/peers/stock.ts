/** tRPC's own adapters, with the usual recipe: an emitter, a list of recent events, and a generator per subscriber. */
import { EventEmitter, on } from 'node:events'
import { tracked } from '@trpc/server'
import { createHTTPHandler } from '@trpc/server/adapters/standalone'
import { applyWSSHandler } from '@trpc/server/adapters/ws'
import { WebSocketServer } from 'ws'
import { createEvent, type Event } from '../lib/event.ts'
import type { Serve } from '../lib/peer.ts'
import { Recent } from '../lib/recent.ts'
import { createRouter, trpcOpening } from '../lib/trpc.ts'

/** As without a context of its own: with one, there is a window of memory for each connection. */
const deflate = { serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 0 }

export const serve: Serve = (server, { deflates }) => {
  const emitter = new EventEmitter().setMaxListeners(0)
  const recent = new Recent()
  const router = createRouter(async function* ({ after, signal }) {
    const live = on(emitter, 'event', signal ? { signal } : {})
    for (const event of recent.after(after)) yield tracked(String(event.n), event)
    for await (const [event] of live as AsyncIterable<[Event]>) yield tracked(String(event.n), event)
  })
  applyWSSHandler({ wss: new WebSocketServer({ server, perMessageDeflate: deflates && deflate }), router })
  server.on('request', createHTTPHandler({ router }))
  return {
    publish(n) {
      const event = createEvent(n)
      recent.push(event)
      emitter.emit('event', event)
      return String(n)
    },
    opening: (carrier, ask) => trpcOpening(carrier, ask, deflates),
  }
}
