/**
 * Many subscribers in one process, as cheap as can be: bare TCP sockets that count the events in the bytes, so that
 * the readers are not what is measured.
 */
import net from 'node:net'
import { mark } from './event.ts'
import type { Carrier, LoadCommand, LoadReport } from './messages.ts'

const send = (report: LoadReport) => process.send?.(report)
const needle = Buffer.from(mark)

/** Negative while events have arrived before it was said how many to expect. */
let missing = 0

function arrive(events: number): void {
  missing -= events
  if (missing === 0) send({ is: 'arrived' })
}

function count(chunk: Buffer): void {
  let found = 0
  for (let at = chunk.indexOf(needle); at !== -1; at = chunk.indexOf(needle, at + needle.length)) found++
  if (found > 0) arrive(found)
}

/** A client frame: masked with zeros, which leave the payload as it is (RFC 6455 5.3). */
function clientFrame(text: string): Buffer {
  const payload = Buffer.from(text)
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload])
}

const opening: Record<Carrier, { request: string; ready: string; subscribe?: Buffer }> = {
  websocket: {
    request:
      'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    ready: '"started"',
    subscribe: clientFrame(
      JSON.stringify({ id: 1, method: 'subscription', params: { path: 'onEvent', input: { json: null } } }),
    ),
  },
  sse: { request: 'GET /onEvent HTTP/1.1\r\nHost: localhost\r\n\r\n', ready: 'event: connected' },
}

function subscribe(port: number, carrier: Carrier): Promise<void> {
  const { request, ready, subscribe: message } = opening[carrier]
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1')
    let head = ''
    let asked = false
    const onHead = (chunk: Buffer) => {
      head += chunk.toString('latin1')
      if (message && !asked && head.includes('\r\n\r\n')) {
        asked = true
        socket.write(message)
      }
      if (head.includes('"error"')) reject(new Error(`The server refused the subscription: ${head}`))
      if (!head.includes(ready)) return
      socket.off('data', onHead)
      socket.on('data', count)
      resolve()
    }
    socket.on('data', onHead)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`The server closed a connection: ${head.slice(0, 200)}`)))
    socket.write(request)
  })
}

process.on('message', async (command: LoadCommand) => {
  if (command.do === 'expect') {
    arrive(-command.events)
    return
  }
  for (let left = command.subscribers; left > 0; left -= 50) {
    await Promise.all(
      Array.from({ length: Math.min(50, left) }, () => subscribe(command.port, command.carrier)),
    )
  }
  send({ is: 'connected' })
})
send({ is: 'listening' })
