/** Hono: `streamSSE` on its Node server. What is published is encoded once, for all streams. */
import { EventEmitter, once } from 'node:events'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { streamSSE, type SSEMessage } from 'hono/streaming'
import { createEvent, encode, type Event } from '../lib/event.ts'
import type { Ask, Serve } from '../lib/peer.ts'
import { Recent } from '../lib/recent.ts'
import { httpRequest } from '../lib/requests.ts'
import { flood, tokens } from '../lib/sources.ts'

const toMessage = (event: Event): SSEMessage => ({ id: String(event.n), data: encode(event) })

export const serve: Serve = server => {
  const emitter = new EventEmitter().setMaxListeners(0)
  const recent = new Recent()
  const app = new Hono()
  app.get('/', context => {
    const ask: Ask = JSON.parse(context.req.query('ask') ?? '')
    return streamSSE(context, async stream => {
      await stream.write(': started\n\n')
      if (ask.for === 'events') {
        const listener = (message: SSEMessage) => void stream.writeSSE(message)
        emitter.on('event', listener)
        for (const event of recent.after(ask.after)) await stream.writeSSE(toMessage(event))
        await once(context.req.raw.signal, 'abort')
        emitter.off('event', listener)
        return
      }
      const source = ask.for === 'flood' ? flood(ask, context.req.raw.signal) : tokens()
      for await (const event of source) await stream.writeSSE(toMessage(event))
    })
  })
  server.on('request', (req, res) => void getRequestListener(app.fetch)(req, res))
  return {
    publish(n) {
      const event = createEvent(n)
      recent.push(event)
      emitter.emit('event', toMessage(event))
      return String(n)
    },
    opening: (_carrier, ask) => ({
      request: {
        say: httpRequest(`/?ask=${encodeURIComponent(JSON.stringify(ask))}`),
        hear: ': started',
      },
    }),
  }
}
