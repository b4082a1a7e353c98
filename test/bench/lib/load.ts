/**
 * Many subscribers in one process, as cheap as can be: bare TCP sockets that count the events in the bytes, so that
 * the readers are not what is measured.
 */
import net from 'node:net'
import { mark } from './event.ts'
import type { LoadCommand, LoadReport } from './messages.ts'

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

interface Opening {
  readonly request: string
  /** What the server says when the subscription runs. */
  readonly ready: string
  /** Sent once the socket is a WebSocket. */
  readonly subscribe?: Buffer
}

function toOpening({ carrier, path, input }: Extract<LoadCommand, { do: 'connect' }>): Opening {
  const json = { json: input }
  if (carrier === 'sse') {
    const query = encodeURIComponent(JSON.stringify(json))
    return {
      request: `GET /${path}?input=${query} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
      ready: 'event: connected',
    }
  }
  return {
    request:
      'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    ready: '"started"',
    subscribe: clientFrame(JSON.stringify({ id: 1, method: 'subscription', params: { path, input: json } })),
  }
}

function subscribe(port: number, { request, ready, subscribe: message }: Opening): Promise<void> {
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
      count(chunk) // events may have come with it
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
  const opening = toOpening(command)
  for (let left = command.subscribers; left > 0; left -= 50) {
    await Promise.all(Array.from({ length: Math.min(50, left) }, () => subscribe(command.port, opening)))
  }
  send({ is: 'connected' })
})
send({ is: 'listening' })
