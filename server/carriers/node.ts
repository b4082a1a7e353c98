/** The requests and responses of Node's `http`, `https` and `http2`, as the carriers see them. */
import { ServerResponse } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'
import { getTRPCErrorFromUnknown } from '@trpc/server'
import type { TRPCError } from '@trpc/server'
import { resolveResponse } from '@trpc/server/http'
import { createURL, incomingMessageToRequest, nodeHTTPRequestHandler } from '@trpc/server/adapters/node-http'
import { countRefusal } from '../observe/counters.ts'
import { discardBody, isByteStream, limitBody, readNodeBody } from './body.ts'
import type { NodeRequest, NodeResponse } from './context.ts'
import { byteLengthOf } from '../bytes.ts'
import { join } from '../session/wire.ts'
import type { Frame, Packed, Packing, Wire } from '../session/wire.ts'
import { acceptsGzip, type Gzip } from './gzip.ts'
import { answer, errorListener, type HttpDeps } from './http.ts'
import { pathBelow, type RequestHead } from './request.ts'
import type { ResponseHost, ResponseWire } from './host.ts'

/** Connect's signature: a request that is not below the base path goes to `next`, where there is one. */
export type NodeHandler = (req: NodeRequest, res: NodeResponse, next?: (error?: unknown) => void) => void

export function createNodeHandler(deps: HttpDeps): NodeHandler {
  return (req, res, next) => {
    if (deps.isDraining()) sendElsewhere(res)
    res.once('finish', () => {
      if (res.statusCode === 413) countRefusal(deps.counters, 'PAYLOAD_TOO_LARGE')
    })
    const url = toUrl(req)
    const below = url && pathBelow(deps.basePath, url.pathname)
    if (url && below === null && next) return next()
    // The slash in front keeps what lies beside the base from being taken for a procedure of that name.
    const path = below ?? url?.pathname ?? ''
    const head = url && below !== null ? toHead(req, url, path) : null
    const takesStream = head && isByteStream(head.method, head.header('content-type')) && !req.readableDidRead
    const delegated = () => (takesStream ? feed(req, res, head, deps) : delegate(req, res, path, deps))
    const ways = { delegate: delegated, host: () => toHost(req, res, deps) }
    answer(head, ways, deps).catch(bug => {
      deps.desk.report(bug, { req, type: 'unknown', path, input: undefined, ctx: undefined })
      res.destroy()
    })
  }
}

/** To tRPC's own adapter, under its own names. */
function delegate(req: NodeRequest, res: NodeResponse, path: string, deps: HttpDeps): Promise<void> {
  return nodeHTTPRequestHandler({
    ...deps.adapter,
    router: deps.observers.over(deps.desk.routerForAdapters, req),
    maxBodySize: deps.maxBodyBytes,
    req,
    res,
    path,
    createContext: async ({ info }) => deps.createContext({ req, res, info }),
    onError: ({ error, ...origin }) => void deps.desk.report(error, { ...origin, req }),
  })
}

/** Does the same for a procedure that reads the body as a stream, which tRPC's adapter would not wait for. */
async function feed(req: NodeRequest, res: NodeResponse, head: RequestHead, deps: HttpDeps): Promise<void> {
  const host = await toHost(req, res, deps)
  const { middleware: _hasRun, ...adapter } = deps.adapter
  const request = new Request(head.url, {
    method: head.method,
    headers: toHeaders(req),
    signal: host.gone,
    body: limitBody(readNodeBody(req), deps.maxStreamBytes),
    duplex: 'half',
  } as RequestInit) // which the DOM's types do not know to have a `duplex`
  const response = await resolveResponse({
    ...adapter,
    router: deps.observers.over(deps.desk.routerForAdapters, req),
    req: request,
    path: head.path,
    error: host.refusal,
    createContext: async ({ info }) => host.createContext(info),
    onError: errorListener(deps, req, host.gone),
  })
  host.respond(response.status, response.headers, await response.text())
  discardBody(req, deps.clock)
}

async function toHost(req: NodeRequest, res: NodeResponse, deps: HttpDeps): Promise<ResponseHost> {
  const gone = new AbortController()
  res.once('close', () => gone.abort())
  const { destroyed, closed } = streamOf(res)
  if (destroyed || closed) gone.abort()
  res.on('error', () => {}) // a write to a peer that has just left; the close event tells of it
  return {
    req,
    gone: gone.signal,
    refusal: await runMiddleware(req, res, deps),
    createContext: info => deps.createContext({ req, res, info }),
    readBody: () => incomingMessageToRequest(req, res, { maxBodySize: deps.maxBodyBytes }).text(),
    open(status, headers) {
      const gzip = toGzip(req, res, headers, deps)
      writeHead(res, status, headers, deps.isDraining())
      const wire = toWire(res, deps)
      return gzip ? gzip.wrap(wire) : wire
    },
    respond(status, headers, body) {
      if (res.headersSent) return
      writeHead(res, status, headers, deps.isDraining())
      res.end(body)
    },
  }
}

/** What compresses a response, upon which its head says so; null where that is off, not wanted, or done already. */
function toGzip(req: NodeRequest, res: NodeResponse, headers: Headers, { gzip }: HttpDeps): Gzip | null {
  if (!gzip) return null
  headers.append('vary', 'accept-encoding')
  const encoded = headers.has('content-encoding') || res.hasHeader('content-encoding')
  if (encoded || !acceptsGzip(req.headers['accept-encoding']?.toString())) return null
  headers.set('content-encoding', 'gzip')
  return gzip
}

/** Settles when the middleware lets the request through, with the error that it passed on. */
function runMiddleware(req: NodeRequest, res: NodeResponse, deps: HttpDeps): Promise<TRPCError | null> {
  const { middleware } = deps.adapter
  if (!middleware) return Promise.resolve(null)
  return new Promise(resolve => {
    middleware(req, res, error => resolve(error ? getTRPCErrorFromUnknown(error) : null))
  })
}

function toWire(res: NodeResponse, deps: HttpDeps): ResponseWire {
  const wire = ('stream' in res ? null : throughSocket(res)) ?? throughResponse(res)
  return {
    packing: wire.packing,
    write: wire.write,
    get bufferedBytes() {
      return wire.bufferedBytes
    },
    end() {
      res.end(() => {
        if (!deps.isDraining()) return
        // The head has promised to keep the connection, upon which a client would come back to this very server.
        if ('stream' in res) sendElsewhere(res)
        else res.req.socket.end()
      })
    },
  }
}

/** A client that keeps its connection would come back to a server that goes away. */
function sendElsewhere(res: NodeResponse): void {
  if (!('stream' in res)) res.shouldKeepAlive = false
  // GOAWAY: streams that are open go on, and for new ones there has to be another connection.
  else if (res.stream.session?.closed === false) res.stream.session.close()
}

/** What knows how it stands with a response, and counts its bytes: of an HTTP/2 response, only its stream does. */
function streamOf(res: NodeResponse): ServerResponse | ServerHttp2Stream {
  return 'stream' in res ? res.stream : res
}

/**
 * Through the response, as everybody does: where it is HTTP/2, not chunked, or where somebody (a compressing
 * middleware) stands between it and the network.
 */
function throughResponse(res: NodeResponse): Wire {
  const stream = streamOf(res)
  // The two kinds have these in common, but their overloads keep TypeScript from seeing it.
  const writer = res as { write(frame: Packed, written?: () => void): boolean; flush?(): void }
  return {
    packing: plain,
    write(packed, gone) {
      if (res.writableEnded || stream.destroyed) return gone?.()
      writer.write(join(packed), gone && (() => gone()))
      writer.flush?.() // a compressing middleware holds back what it is not told to pass on
    },
    get bufferedBytes() {
      return stream.writableLength
    },
  }
}

/**
 * Beside the response, straight to its socket, in chunks that are made once for all who get them: `res.write` makes
 * a chunk of its own for each, and three writes of it. (1,000 subscribers, one event: 14 µs of CPU each that way, 10
 * this way; Node 20.) Null where that would get in anybody's way.
 */
function throughSocket(res: ServerResponse): Wire | null {
  res.flushHeaders()
  const { socket, chunkedEncoding } = res as ServerResponse & { readonly chunkedEncoding?: boolean }
  // A response that waits for an earlier one on its connection has no socket yet.
  if (!socket || !chunkedEncoding || res.write !== ServerResponse.prototype.write) return null
  return {
    packing: chunked,
    write(packed, gone) {
      if (res.writableEnded || res.destroyed || socket.destroyed) return gone?.()
      socket.write(join(packed), gone && (() => gone()))
    },
    get bufferedBytes() {
      return socket.writableLength
    },
  }
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

function writeHead(res: NodeResponse, status: number, headers: Headers, draining: boolean): void {
  if (res.statusCode === 200) res.statusCode = status // else the procedure has set it by itself
  for (const [name, value] of headers) {
    const isMine = name !== 'connection' || (!draining && !('stream' in res)) // HTTP/2 has no such header
    if (name !== 'set-cookie' && isMine) res.setHeader(name, value)
  }
  const cookies = headers.getSetCookie()
  if (cookies.length > 0) res.setHeader('set-cookie', cookies)
}

function toUrl(req: NodeRequest): URL | null {
  try {
    return createURL(req)
  } catch {
    return null // tRPC's adapter meets the same and says so
  }
}

function toHeaders(req: NodeRequest): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(req.headers)) {
    if (name.startsWith(':')) continue // HTTP/2's own
    for (const one of [value ?? []].flat()) headers.append(name, one)
  }
  return headers
}

function toHead(req: NodeRequest, url: URL, path: string): RequestHead {
  return {
    method: req.method ?? 'GET',
    url,
    path,
    header(name) {
      const value = req.headers[name]
      return value === undefined ? null : Array.isArray(value) ? value.join(', ') : value
    },
  }
}
