/** Socket.IO: a room for what is published, and plain emits for what is a reader's own. */
import { Server, type Socket } from 'socket.io'
import { createEvent } from '../lib/event.ts'
import type { Ask, Serve } from '../lib/peer.ts'
import { Recent } from '../lib/recent.ts'
import { webSocketRequest } from '../lib/requests.ts'
import { flood, tokens } from '../lib/sources.ts'

export const serve: Serve = server => {
  const io = new Server(server, { transports: ['websocket'] })
  const recent = new Recent()

  async function subscribe(socket: Socket, ask: Ask, id: number): Promise<void> {
    socket.emit('started', id)
    if (ask.for === 'events') {
      for (const event of recent.after(ask.after)) socket.emit('event', event)
      await socket.join('all')
      return
    }
    const stop = new AbortController()
    socket.once('unsubscribe', () => stop.abort())
    for await (const event of ask.for === 'flood' ? flood(ask, stop.signal) : tokens()) {
      socket.emit('event', event)
    }
  }

  io.on('connection', socket => {
    socket.setMaxListeners(0)
    socket.on('subscribe', (ask: Ask, id: number) => void subscribe(socket, ask, id))
    socket.on('unsubscribe', () => void socket.leave('all'))
  })
  return {
    publish(n) {
      const event = createEvent(n)
      recent.push(event)
      io.to('all').emit('event', event)
      return String(n)
    },
    opening: (_carrier, ask) => ({
      request: { ...webSocketRequest('/socket.io/?EIO=4&transport=websocket'), hear: '"pingInterval"' },
      hello: [{ say: '40', hear: '40{"sid"' }],
      subscribe: { say: `42["subscribe",${JSON.stringify(ask)},{id}]`, hear: '"started",{id}]' },
      unsubscribe: { say: '42["unsubscribe"]' },
    }),
  }
}
