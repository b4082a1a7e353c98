/** The requests of Node's `http`, `https` and `http2`: whose they are, and which way they take. */
import { getTRPCErrorFromUnknown } from '@trpc/server'
import type { TRPCError } from '@trpc/server'
import { resolveResponse } from '@trpc/server/http'
import { createURL, nodeHTTPRequestHandler } from '@trpc/server/adapters/node-http'
import { countRefusal } from '../observe/counters.ts'
import { discardBody, isByteStream, limitBody, readNodeBody } from './body.ts'
import type { NodeRequest, NodeResponse } from './context.ts'
import { answer, errorListener, type HttpDeps } from './http.ts'
import { pathBelow, type RequestHead } from './request.ts'
import type { ResponseHost } from './host.ts'
import { expectBody } from './node-arrival.ts'
import { NodeHost, sendElsewhere } from './node-host.ts'

/** Connect's signature: a request that is not below the base path goes to `next`, where there is one. */
export type NodeHandler = (req: NodeRequest, res: NodeResponse, next?: (error?: unknown) => void) => void

export function createNodeHandler(deps: HttpDeps): NodeHandler {
  // One for all responses, and not by once(), which makes two objects for each.
  function countTooLarge(this: NodeResponse): void {
    if (this.statusCode === 413) countRefusal(deps.counters, 'PAYLOAD_TOO_LARGE')
  }
  return (req, res, next) => {
    if (deps.isDraining()) sendElsewhere(res)
    res.on('finish', countTooLarge)
    const url = toUrl(req)
    // tRPC's adapter says so.
    if (!url) countRefusal(deps.counters, 'MESSAGE_INVALID')
    const below = url && pathBelow(deps.basePath, url.pathname)
    if (url && below === null && next) return next()
    expectBody(req, res, deps)
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
    router: deps.observers.over(deps.routerForAdapters, req),
    maxBodySize: deps.maxBodyBytes,
    req,
    res,
    path,
    createContext: async ({ info }) => deps.createContext({ req, res, info }),
    onError: errorListener(deps, req, () => false),
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
    router: deps.observers.over(deps.routerForAdapters, req),
    req: request,
    path: head.path,
    error: host.refusal,
    createContext: async ({ info }) => host.createContext(info),
    // One who was too slow has been answered, and may yet be there.
    onError: errorListener(deps, req, () => host.gone.aborted || res.headersSent),
  })
  host.respond(response.status, response.headers, await response.text())
  discardBody(req, deps.clock)
}

/** Settles when the middleware has let the request through, or refuses it. */
async function toHost(req: NodeRequest, res: NodeResponse, deps: HttpDeps): Promise<ResponseHost> {
  const host = new NodeHost(req, res, deps)
  host.refusal = await runMiddleware(req, res, deps)
  return host
}

/** Settles when the middleware lets the request through, with the error that it passed on. */
function runMiddleware(req: NodeRequest, res: NodeResponse, deps: HttpDeps): Promise<TRPCError | null> {
  const { middleware } = deps.adapter
  if (!middleware) return Promise.resolve(null)
  return new Promise(resolve => {
    middleware(req, res, error => resolve(error ? getTRPCErrorFromUnknown(error) : null))
  })
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
