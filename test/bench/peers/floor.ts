/**
 * As little as Node lets one do: what is ready in one turn is one prepared chunk, written straight to each socket.
 * `ws` opens the WebSockets and reads them; nothing is checked, bounded or cleaned up beyond what the scenarios need.
 */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { WebSocketServer } from 'ws'
import { createEvent, encodeByHand, type Event } from '../lib/event.ts'
import type { Ask, Carrier, Serve } from '../lib/peer.ts'
import { Recent } from '../lib/recent.ts'
import { httpRequest, serverFrame, webSocketRequest } from '../lib/requests.ts'
import { flood, tokens } from '../lib/sources.ts'

const chunkBytes = 64 * 1024

const toBytes = {
  websocket: event => serverFrame(encodeByHand(event)),
  sse: event => Buffer.from(`id: ${event.n}\ndata: ${encodeByHand(event)}\n\n`),
} satisfies Record<Carrier, (event: Event) => Buffer>

/** The listeners of one carrier, and what they are sent. */
class Room {
  readonly #sockets = new Set<Socket>()
  readonly #toBytes: (event: Event) => Buffer
  readonly #recent = new Recent()
  #pending: Buffer[] = []
  /** Many come back from the same place: their chunk is prepared once. */
  #backlog: { readonly after: string; readonly chunk: Buffer } | null = null

  constructor(carrier: Carrier) {
    this.#toBytes = toBytes[carrier]
  }

  publish(event: Event): void {
    this.#recent.push(event)
    this.#backlog = null
    if (this.#sockets.size === 0) return
    if (this.#pending.push(this.#toBytes(event)) === 1) queueMicrotask(() => this.#flush())
  }

  join(socket: Socket, after: string | undefined): void {
    this.#sockets.add(socket)
    if (after === undefined) return
    if (this.#backlog?.after !== after) {
      this.#backlog = { after, chunk: Buffer.concat(this.#recent.after(after).map(this.#toBytes)) }
    }
    socket.write(this.#backlog.chunk)
  }

  leave(socket: Socket): void {
    this.#sockets.delete(socket)
  }

  #flush(): void {
    const chunk = Buffer.concat(this.#pending)
    this.#pending = []
    for (const socket of this.#sockets) socket.write(chunk)
  }
}

async function pump(socket: Socket, source: AsyncIterable<Event>, toBytes: (event: Event) => Buffer) {
  let ready: Buffer[] = []
  let bytes = 0
  const flush = () => {
    if (bytes === 0) return true
    const chunk = Buffer.concat(ready)
    ready = []
    bytes = 0
    return socket.write(chunk)
  }
  for await (const event of source) {
    const next = toBytes(event)
    if (bytes === 0) setImmediate(flush)
    ready.push(next)
    bytes += next.length
    if (bytes >= chunkBytes && !flush()) await once(socket, 'drain')
  }
}

export const serve: Serve = server => {
  const rooms = { websocket: new Room('websocket'), sse: new Room('sse') }

  function subscribe(carrier: Carrier, socket: Socket, ask: Ask): void {
    if (ask.for === 'events') return rooms[carrier].join(socket, ask.after)
    const source = ask.for === 'flood' ? flood(ask) : tokens()
    pump(socket, source, toBytes[carrier]).catch(() => {}) // the reader has left
  }

  new WebSocketServer({ server }).on('connection', (webSocket, { socket }) => {
    const subscriptions = new Map<number, Ask>()
    webSocket.on('close', () => rooms.websocket.leave(socket))
    webSocket.on('message', message => {
      const { id, ask } = JSON.parse(String(message))
      if (!ask) return void subscriptions.delete(id)
      subscriptions.set(id, ask)
      socket.write(serverFrame(`started ${id}`))
      subscribe('websocket', socket, ask)
    })
  })
  server.on('request', ({ socket, url = '' }) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: started\n\n')
    socket.once('close', () => rooms.sse.leave(socket))
    subscribe('sse', socket, JSON.parse(decodeURIComponent(url.slice(1))))
  })
  return {
    publish(n) {
      const event = createEvent(n)
      rooms.websocket.publish(event)
      rooms.sse.publish(event)
      return String(n)
    },
    opening: (carrier, ask) =>
      carrier === 'sse'
        ? { request: { say: httpRequest(`/${encodeURIComponent(JSON.stringify(ask))}`), hear: ': started' } }
        : {
            request: webSocketRequest(),
            subscribe: { say: `{"id":{id},"ask":${JSON.stringify(ask)}}`, hear: 'started {id}' },
            unsubscribe: { say: '{"id":{id}}' },
          },
  }
}
