/** WHATWG `Request` and `Response`, as the carriers see them: Next.js, Hono, Bun, Deno, Workers. */
import { fetchRequestHandler } from '@trpc/server/adapters/fetch'
import { SluiceError } from '../../shared/errors.ts'
import { countRefusal } from '../observe/counters.ts'
import { withSignal } from '../../shared/iterate/with-signal.ts'
import { fromReadableStream } from '../../shared/iterate/web-streams.ts'
import { join, type Frame, type Packing } from '../session/wire.ts'
import { isByteStream, limitBody } from './body.ts'
import { answer, errorListener, type HttpDeps } from './http.ts'
import { pathBelow } from './request.ts'
import type { ResponseHost, ResponseWire } from './host.ts'

type Handle = (request: Request) => Promise<Response>

/** Also taken apart, for hosts that want a function by method: `export const { GET, POST } = sluice.fetch`. */
export type FetchHandler = Handle & { readonly GET: Handle; readonly POST: Handle }

export function createFetchHandler(deps: HttpDeps): FetchHandler {
  const handle: Handle = request => {
    return new Promise((resolvePromise, reject) => {
      const resolve = (response: Response) => {
        if (response.status === 413) countRefusal(deps.counters, 'PAYLOAD_TOO_LARGE')
        resolvePromise(response)
      }
      const url = new URL(request.url)
      const path = pathBelow(deps.basePath, url.pathname)
      const header = (name: string) => request.headers.get(name)
      const head = path === null ? null : { method: request.method, url, path: trimSlashes(path), header }
      const delegated = async () => resolve(await delegate(request, deps))
      answer(head, { delegate: delegated, host: async () => toHost(request, resolve, deps) }, deps).catch(
        reject,
      )
    })
  }
  return Object.assign(handle, { GET: handle, POST: handle })
}

/** One at each end, as tRPC's adapter for this host has it. */
function trimSlashes(path: string): string {
  return path.slice(path.startsWith('/') ? 1 : 0, path.endsWith('/') ? -1 : undefined)
}

/** To tRPC's own adapter, under its own names. */
function delegate(req: Request, deps: HttpDeps): Promise<Response> {
  const { middleware: _ofNode, ...adapter } = deps.adapter
  const isStream = isByteStream(req.method, req.headers.get('content-type'))
  return fetchRequestHandler({
    ...adapter,
    router: deps.observers.over(deps.routerForAdapters, req),
    endpoint: deps.basePath,
    req: withLimit(req, isStream ? deps.maxStreamBytes : deps.maxBodyBytes, deps),
    createContext: async ({ resHeaders, info }) => deps.createContext({ req, resHeaders, info }),
    onError: errorListener(deps, req, () => req.signal.aborted),
  })
}

/** The same request with a bounded body, which is read from the original when somebody reads it, and not before. */
function withLimit(req: Request, maxBytes: number, { arrivals }: HttpDeps): Request {
  if (!req.body) return req
  const { url, method, headers, signal } = req
  // Not every host ends the body of a request that is aborted.
  const source = withSignal(fromReadableStream(req.body), signal, { onAbort: 'throw' })
  const body = limitBody(arrivals.inTime(source), maxBytes)
  // The type of the DOM does not know yet that a body of unknown length has to say so.
  return new Request(url, { method, headers, signal, body, duplex: 'half' } as RequestInit)
}

function toHost(req: Request, resolve: (response: Response) => void, deps: HttpDeps): ResponseHost {
  const gone = new AbortController()
  const resHeaders = new Headers()
  if (req.signal.aborted) gone.abort()
  else req.signal.addEventListener('abort', () => gone.abort(), { once: true })
  const withOwn = (headers: Headers) => {
    resHeaders.forEach((value, name) => headers.append(name, value))
    return headers
  }
  return {
    req,
    gone: gone.signal,
    listen(listener) {
      gone.signal.addEventListener('abort', () => listener.gone(), { once: true })
      if (gone.signal.aborted) listener.gone()
    },
    refusal: null,
    createContext: info => deps.createContext({ req, resHeaders, info }),
    readBody: () => withLimit(req, deps.maxBodyBytes, deps).text(),
    open(status, headers) {
      const { wire, body } = createBody(deps.outletHighWater, () => gone.abort())
      resolve(new Response(body, { status, headers: withOwn(new Headers(headers)) }))
      return wire
    },
    respond(status, headers, body) {
      resolve(new Response(body, { status, headers: withOwn(headers) }))
    },
  }
}

const encoder = new TextEncoder()
const toBytes = (frame: Frame) => (typeof frame === 'string' ? encoder.encode(frame) : frame)

/** The host frames the body by itself. */
const bytes: Packing = { pack: toBytes, packAll: frames => [toBytes(join(frames))] }

/** A body that is written to. What the host has not pulled counts as buffered. */
function createBody(
  highWaterMark: number,
  onCancel: () => void,
): { wire: ResponseWire; body: ReadableStream } {
  const waiting: (() => void)[] = []
  let written = 0
  let controller: ReadableStreamDefaultController<Uint8Array> | null = null
  const settle = () => waiting.splice(0).forEach(gone => gone())
  const cancel = () => {
    controller = null
    settle()
    onCancel()
  }

  const body = new ReadableStream<Uint8Array>(
    {
      start(started) {
        controller = started
      },
      // Called when the queue has fallen below the mark.
      pull: settle,
      cancel,
    },
    { highWaterMark, size: chunk => chunk.byteLength },
  )
  const wire: ResponseWire = {
    packing: bytes,
    write(packed, gone) {
      if (!controller) return gone?.()
      const chunk = toBytes(join(packed))
      written += chunk.byteLength
      controller.enqueue(chunk)
      if (gone) waiting.push(gone)
    },
    get bufferedBytes() {
      return highWaterMark - (controller?.desiredSize ?? highWaterMark)
    },
    get takenBytes() {
      return written - this.bufferedBytes
    },
    cutOff() {
      controller?.error(new SluiceError('STALLED', 'The response has not been read for too long.'))
      cancel()
    },
    end() {
      controller?.close()
      controller = null
      settle()
    },
  }
  return { wire, body }
}
