/**
 * The responses of Node's `http`, `https` and `http2`, as the carriers see them. All classes, for there is one of each
 * per open stream: an object with methods or getters of its own costs 1 kB and more (Node 20).
 */
import { ServerResponse } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import type { TRPCError } from '@trpc/server'
import { incomingMessageToRequest } from '@trpc/server/adapters/node-http'
import type { TRPCRequestInfo } from '@trpc/server/http'
import { byteLengthOf } from '../bytes.ts'
import { join } from '../session/wire.ts'
import type { Frame, Packed, Packing } from '../session/wire.ts'
import type { NodeRequest, NodeResponse } from './context.ts'
import { acceptsGzip } from './gzip.ts'
import type { HostListener, PlainHeaders, ResponseHost, ResponseWire } from './host.ts'
import type { HttpDeps } from './http.ts'
import { takenBytes } from './taken-bytes.ts'

export class NodeHost implements ResponseHost {
  readonly req: NodeRequest
  refusal: TRPCError | null = null
  readonly #res: NodeResponse
  readonly #deps: HttpDeps
  #left = false
  #listener: HostListener | null = null
  /** Whoever reads a client that is gone waits for ever. */
  #stopReading: (() => void) | null = null
  /** Null until somebody wants a signal: most do not, and each is 800 B with its listener (Node 20). */
  #gone: AbortController | null = null

  constructor(req: NodeRequest, res: NodeResponse, deps: HttpDeps) {
    this.req = req
    this.#res = res
    this.#deps = deps
    const { destroyed, closed } = streamOf(res)
    this.#left = destroyed || closed
    res.on('close', () => this.#leave())
    res.on('error', ignore)
    if (!('stream' in res) && !res.socket) this.#waitBehind(req.socket)
  }

  get gone(): AbortSignal {
    if (!this.#gone) {
      this.#gone = new AbortController()
      if (this.#left) this.#gone.abort()
    }
    return this.#gone.signal
  }

  listen(listener: HostListener): void {
    this.#listener = listener
    if (this.#left) listener.gone()
  }

  createContext(info: TRPCRequestInfo): unknown {
    return this.#deps.createContext({ req: this.req, res: this.#res, info })
  }

  readBody(): Promise<string> {
    const { maxBodyBytes } = this.#deps
    const request = incomingMessageToRequest(this.req, this.#res, { maxBodySize: maxBodyBytes })
    return new Promise((resolve, reject) => {
      this.#stopReading = () => reject(abortError())
      const done = () => (this.#stopReading = null)
      request.text().then(resolve, reject).finally(done)
      if (this.#left) this.#stopReading()
    })
  }

  open(status: number, plain: Headers | PlainHeaders): ResponseWire {
    const { gzip, isDraining } = this.#deps
    // It was answered for being too slow, and what more is said goes nowhere.
    if (this.#res.headersSent) return new WholeWire(this.#res, isDraining)
    const headers = gzip ? new Headers(plain) : plain
    const compresses = gzip && headers instanceof Headers && isToBeGzipped(this.req, this.#res, headers)
    writeHead(this.#res, status, headers, isDraining())
    const wire = toWire(this.#res, isDraining)
    return compresses ? gzip.wrap(wire) : wire
  }

  respond(status: number, headers: Headers, body: string): void {
    if (this.#res.headersSent) return
    writeHead(this.#res, status, headers, this.#deps.isDraining())
    this.#res.end(body)
  }

  /** An earlier response on this connection has its turn, and Node tells only that one of the connection's end. */
  #waitBehind(socket: Socket): void {
    if (socket.destroyed) this.#left = true
    let waiting = waitingOn.get(socket)
    if (!waiting) {
      const all = (waiting = new Set<NodeHost>())
      waitingOn.set(socket, all)
      socket.once('close', () => all.forEach(host => host.#leave()))
    }
    const others = waiting.add(this)
    this.#res.once('close', () => others.delete(this))
  }

  #leave(): void {
    if (this.#left) return
    this.#left = true
    this.#gone?.abort()
    this.#stopReading?.()
    this.#listener?.gone()
  }
}

function abortError(): Error {
  return new DOMException('The client has gone in the middle of its request.', 'AbortError')
}

/** With one listener for all of them: a peer may send any number of requests ahead. */
const waitingOn = new WeakMap<Socket, Set<NodeHost>>()

/** A write to a peer that has just left; the close event tells of it. */
function ignore(): void {}

/** Whether a response is to be compressed, upon which its head says so: not where that is not wanted, or done already. */
function isToBeGzipped(req: NodeRequest, res: NodeResponse, headers: Headers): boolean {
  headers.append('vary', 'accept-encoding')
  const encoded = headers.has('content-encoding') || res.hasHeader('content-encoding')
  if (encoded || !acceptsGzip(req.headers['accept-encoding']?.toString())) return false
  headers.set('content-encoding', 'gzip')
  return true
}

function toWire(res: NodeResponse, isDraining: () => boolean): ResponseWire {
  if ('stream' in res) return new WholeWire(res, isDraining)
  // A response that waits for an earlier one on its connection has no socket yet.
  const { socket } = res
  socket?.cork() // until what comes first: the head goes out with it
  res.flushHeaders()
  const { chunkedEncoding } = res as ServerResponse & { readonly chunkedEncoding?: boolean }
  const isOurs = res.write === ServerResponse.prototype.write
  if (socket && chunkedEncoding && isOurs) return new SocketWire(res, socket, isDraining)
  socket?.uncork()
  return new WholeWire(res, isDraining)
}

/**
 * Through the response, as everybody does: where it is HTTP/2, not chunked, or where somebody (a compressing
 * middleware) stands between it and the network.
 */
class WholeWire implements ResponseWire {
  readonly packing = plain
  /** An HTTP/2 session does so for all its streams. */
  readonly gathers: boolean
  readonly #res: NodeResponse
  readonly #stream: ServerResponse | ServerHttp2Stream
  readonly #isDraining: () => boolean
  #writtenBytes = 0

  constructor(res: NodeResponse, isDraining: () => boolean) {
    this.#res = res
    this.#stream = streamOf(res)
    this.#isDraining = isDraining
    this.gathers = 'stream' in res
  }

  write(packed: readonly Packed[], gone?: () => void): void {
    if (this.#res.writableEnded || this.#stream.destroyed) return gone?.()
    // The two kinds have these in common, but their overloads keep TypeScript from seeing it.
    const res = this.#res as { write(frame: Packed, written?: () => void): boolean; flush?(): void }
    const piece = join(packed)
    this.#writtenBytes += byteLengthOf(piece)
    res.write(piece, gone && (() => gone()))
    res.flush?.() // a compressing middleware holds back what it is not told to pass on
  }

  get bufferedBytes(): number {
    return waitingIn(this.#stream)
  }

  get takenBytes(): number {
    // An HTTP/2 connection goes on with other responses when one of them stands still.
    return 'stream' in this.#res ? this.#writtenBytes - this.bufferedBytes : takenBytes(this.#res.req.socket)
  }

  cutOff(): void {
    if ('stream' in this.#res) this.#res.stream.destroy()
    else this.#res.destroy()
  }

  end(): void {
    end(this.#res, this.#isDraining)
  }
}

/**
 * Beside the response, straight to its socket, in chunks that are made once for all who get them: `res.write` makes
 * a chunk of its own for each, and three writes of it. (1,000 subscribers, one event: 14 µs of CPU each that way, 10
 * this way; Node 20.) Not where that would get in anybody's way.
 *
 * Its head waits for the first of them: a write of its own costs 45 µs (Node 20).
 */
class SocketWire implements ResponseWire {
  readonly packing = chunked
  #corked = true
  readonly #res: ServerResponse
  readonly #socket: Socket
  readonly #isDraining: () => boolean

  constructor(res: ServerResponse, socket: Socket, isDraining: () => boolean) {
    this.#res = res
    this.#socket = socket
    this.#isDraining = isDraining
  }

  write(packed: readonly Packed[], gone?: () => void): void {
    const socket = this.#socket
    if (this.#res.writableEnded || this.#res.destroyed || socket.destroyed) return gone?.()
    socket.write(join(packed), gone && (() => gone()))
    this.#uncork()
  }

  get bufferedBytes(): number {
    return waitingIn(this.#socket)
  }

  get takenBytes(): number {
    return takenBytes(this.#socket)
  }

  cutOff(): void {
    this.#socket.destroy()
  }

  end(): void {
    end(this.#res, this.#isDraining)
    this.#uncork()
  }

  #uncork(): void {
    if (!this.#corked) return
    this.#corked = false
    this.#socket.uncork()
  }
}

/** What the peer has yet to take: nothing any more when it is gone, though Node goes on counting it. */
function waitingIn({ destroyed, writableLength }: Socket | ServerResponse | ServerHttp2Stream): number {
  return destroyed ? 0 : writableLength
}

function end(res: NodeResponse, isDraining: () => boolean): void {
  res.end(() => {
    if (!isDraining()) return
    // The head has promised to keep the connection, upon which a client would come back to this very server.
    if ('stream' in res) sendElsewhere(res)
    else res.req.socket.end()
  })
}

/** A client that keeps its connection would come back to a server that goes away. */
export function sendElsewhere(res: NodeResponse): void {
  if (!('stream' in res)) res.shouldKeepAlive = false
  // GOAWAY: streams that are open go on, and for new ones there has to be another connection.
  else if (res.stream.session?.closed === false) res.stream.session.close()
}

/** What knows how it stands with a response, and counts its bytes: of an HTTP/2 response, only its stream does. */
function streamOf(res: NodeResponse): ServerResponse | ServerHttp2Stream {
  return 'stream' in res ? res.stream : res
}

const plain: Packing = { pack: frame => frame, packAll: frames => [join(frames)] }

/** Each piece is one chunk. */
const chunked: Packing = { pack: toChunk, packAll: frames => [toChunk(join(frames))] }

/** RFC 9112 7.1. */
function toChunk(frame: Frame): Buffer {
  const head = `${byteLengthOf(frame).toString(16)}\r\n`
  if (typeof frame === 'string') return Buffer.from(`${head}${frame}\r\n`)
  return Buffer.concat([Buffer.from(head), frame, Buffer.from('\r\n')])
}

function writeHead(
  res: NodeResponse,
  status: number,
  headers: Headers | PlainHeaders,
  draining: boolean,
): void {
  if (res.statusCode === 200) res.statusCode = status // else the procedure has set it by itself
  const entries = headers instanceof Headers ? headers : Object.entries(headers)
  for (const [name, value] of entries) {
    const isMine = name !== 'connection' || (!draining && !('stream' in res)) // HTTP/2 has no such header
    if (name !== 'set-cookie' && isMine) res.setHeader(name, value)
  }
  const cookies = headers instanceof Headers ? headers.getSetCookie() : []
  if (cookies.length > 0) res.setHeader('set-cookie', cookies)
}
