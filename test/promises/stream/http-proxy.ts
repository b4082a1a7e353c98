/**
 * A load balancer that knows HTTP: each request goes to the next server, whoever sent it, and WebSockets, too. It can
 * refuse what some networks refuse, hold responses back until they are complete, and counts what is open.
 */
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { listen, type Listening } from '../../support/listen.ts'

export interface HttpProxy extends Listening {
  /** What is refused with 403. */
  readonly banned: Set<'websocket' | 'stream'>
  /** Whether a response is passed on only when it is complete. */
  heldBack: boolean
  /** Streamed responses now open, and the most there have been at once. */
  readonly open: number
  readonly mostOpen: number
  /** How many requests each server has had. */
  readonly shares: readonly number[]
}

export async function createHttpProxy(ports: readonly number[]): Promise<HttpProxy> {
  const banned = new Set<'websocket' | 'stream'>()
  const shares = ports.map(() => 0)
  let turn = 0
  let open = 0
  let mostOpen = 0
  let heldBack = false

  const nextPort = () => {
    const index = turn++ % ports.length
    shares[index] = (shares[index] ?? 0) + 1
    return ports[index] ?? 0
  }
  const count = (res: ServerResponse) => {
    open += 1
    // Of a response that was left just before, the end may be read in the turn that this request is read in, after it.
    afterTurns(3, () => (mostOpen = Math.max(mostOpen, open)))
    res.once('close', () => (open -= 1))
  }
  const pass = async (from: IncomingMessage, res: ServerResponse) => {
    if (!heldBack) {
      res.writeHead(from.statusCode ?? 502, from.headers)
      res.flushHeaders()
      return void from.pipe(res)
    }
    const body = await buffer(from)
    const { 'transfer-encoding': _chunked, ...headers } = from.headers
    res.writeHead(from.statusCode ?? 502, headers).end(body)
  }

  const server = createServer((req, res) => {
    const isStream = req.url?.includes('/:stream') ?? false
    if (isStream && banned.has('stream')) return void res.writeHead(403).end()
    if (isStream || req.headers.accept === 'text/event-stream') count(res)
    const { method, url: path, headers } = req
    const upstream = request(
      { host: '127.0.0.1', port: nextPort(), method, path, headers, agent: false },
      from => {
        from.once('error', () => res.destroy())
        pass(from, res).catch(() => res.destroy())
      },
    )
    upstream.once('error', () => res.destroy())
    res.once('close', () => upstream.destroy())
    req.pipe(upstream)
  })
  server.on('upgrade', (req: IncomingMessage, socket: Socket, head: Buffer) => {
    if (banned.has('websocket')) return void socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n')
    const upstream = connect(nextPort(), '127.0.0.1', () => {
      const lines = Object.entries(req.headers).map(([name, value]) => `${name}: ${String(value)}`)
      upstream.write(`GET ${req.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
      upstream.write(head)
      socket.pipe(upstream).pipe(socket)
    })
    const end = () => {
      socket.destroy()
      upstream.destroy()
    }
    for (const side of [socket, upstream]) side.on('error', end).on('close', end)
  })
  return {
    ...(await listen(server)),
    banned,
    get heldBack() {
      return heldBack
    },
    set heldBack(value) {
      heldBack = value
    },
    get open() {
      return open
    },
    get mostOpen() {
      return mostOpen
    },
    shares,
  }
}

function afterTurns(turns: number, then: () => void): void {
  if (turns === 0) then()
  else setImmediate(() => afterTurns(turns - 1, then))
}
