/** oRPC: event iterators, and its own memory publisher, which also serves those who come back. */
import { MemoryPublisher } from '@orpc/experimental-publisher/memory'
import { getEventMeta, os } from '@orpc/server'
import { RPCHandler as HttpHandler } from '@orpc/server/node'
import { RPCHandler as WebSocketHandler } from '@orpc/server/ws'
import { WebSocketServer } from 'ws'
import { z } from 'zod'
import { createEvent, type Event } from '../lib/event.ts'
import type { Serve } from '../lib/peer.ts'
import { httpRequest, webSocketRequest } from '../lib/requests.ts'
import { flood, tokens } from '../lib/sources.ts'

export const serve: Serve = server => {
  const publisher = new MemoryPublisher<{ all: Event }>({ resumeRetentionSeconds: 60 })
  const router = {
    events: os.handler(async function* ({ signal, lastEventId }) {
      for await (const event of publisher.subscribe('all', { signal, lastEventId })) yield event
    }),
    flood: os
      .input(z.object({ events: z.number(), bytes: z.number().optional() }))
      .handler(({ input, signal }) => flood(input, signal)),
    tokens: os.handler(() => tokens()),
  }
  const webSocket = new WebSocketHandler(router)
  new WebSocketServer({ server }).on('connection', socket => void webSocket.upgrade(socket))
  const http = new HttpHandler(router)
  server.on('request', (req, res) => void http.handle(req, res))
  // Its ids are made inside: the first event that this one hears tells them.
  let cursor = ''
  void publisher.subscribe('all', event => void (cursor = getEventMeta(event)?.id ?? ''))
  return {
    async publish(n) {
      await publisher.publish('all', createEvent(n))
      return cursor
    },
    opening(carrier, ask) {
      const { for: path, ...json } = ask
      const headers = ask.for === 'events' && ask.after ? { 'last-event-id': ask.after } : undefined
      if (carrier === 'sse') {
        const body = JSON.stringify({ json })
        const type = { 'Content-Type': 'application/json' }
        return {
          request: {
            say: httpRequest(`/${path}`, { method: 'POST', headers: { ...type, ...headers }, body }),
            hear: 'event-stream',
          },
        }
      }
      const params = JSON.stringify({ u: `/${path}`, h: headers, b: { json } })
      return {
        request: webSocketRequest(),
        subscribe: { say: `{"i":"{id}","p":${params}}`, hear: '"i":"{id}","p":{"h"' },
        unsubscribe: { say: '{"i":"{id}","t":4}' },
      }
    },
  }
}
