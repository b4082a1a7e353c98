/** The simplest program there is: `ws`, sending one string to all. */
import { WebSocketServer } from 'ws'
import { createEvent, encode } from '../lib/event.ts'
import type { Serve } from '../lib/peer.ts'
import { webSocketRequest } from '../lib/requests.ts'

export const serve: Serve = server => {
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', socket => socket.on('message', () => socket.send('started')))
  return {
    publish(n) {
      const text = encode(createEvent(n))
      for (const socket of sockets.clients) socket.send(text)
      return String(n)
    },
    opening: () => ({ request: webSocketRequest(), subscribe: { say: 'subscribe', hear: 'started' } }),
  }
}
