/**
 * tRPC's own links for queries and mutations over plain HTTP, loaded when the first one goes that way: batched, except
 * for what only a request of its own can carry (files, forms and streams of bytes).
 */
import type { Operation, OperationLink } from '@trpc/client'
import { httpBatchLink } from '@trpc/client/links/httpBatchLink'
import { httpLink } from '@trpc/client/links/httpLink'
import type { AnyRouter } from '@trpc/server'
import { isByteStream, isOwnBody } from './own-body.ts'
import { idempotencyKeyOf } from './idempotency-key.ts'
import type { ConnectionParams, ResolvedOptions } from './options.ts'
import { toHttpUrl } from './transports/http-url.ts'

/** The link for an operation, to the address and with the connection params of the day. */
export type LinkFor = (
  operation: Operation,
  address: string,
  params: ConnectionParams,
) => OperationLink<AnyRouter>

/** Longer request lines are split into several batches: many a proxy refuses them. */
const maxURLLength = 8_000

export function createHttpLinks(options: ResolvedOptions): LinkFor {
  // tRPC's links take a fixed address; ours may change, and with it what belongs into one batch.
  let current: {
    readonly url: string
    readonly batched: OperationLink<AnyRouter>
    readonly single: OperationLink<AnyRouter>
  } | null = null

  const withKey = async (op: Operation) => {
    const headers = await options.headers([op])
    const key = idempotencyKeyOf(op.context)
    if (key === undefined) return headers
    const own = Symbol.iterator in headers ? Object.fromEntries(headers) : headers
    return { ...own, 'idempotency-key': key }
  }

  const linksFor = (url: string) => {
    if (current?.url === url) return current
    const shared = { url, fetch: options.fetch, transformer: options.transformer }
    current = {
      url,
      batched: httpBatchLink<AnyRouter>({
        ...shared,
        maxURLLength,
        headers: ({ opList }) => options.headers(opList),
      })({}),
      single: httpLink<AnyRouter>({ ...shared, headers: ({ op }) => withKey(op) })({}),
    }
    return current
  }

  /** tRPC's link knows bytes, and not yet streams of them: it is handed none, and the stream goes in their place. */
  const streaming = (url: string, body: ReadableStream): OperationLink<AnyRouter> => {
    const { transformer, headers } = options
    const link = httpLink<AnyRouter>({
      url,
      fetch(address, init) {
        // Node's fetch goes on reading a body for which there is no request any more.
        const failed = new AbortController()
        const sent = body.pipeThrough(new TransformStream(), { signal: failed.signal })
        // Fetch refuses a stream without `duplex`. The other two keep Node's from holding all that is sent in memory, for
        // a redirect after which it could be sent again (200 MB of 200 MB, Node 20).
        const streamed = { ...init, body: sent, duplex: 'half', redirect: 'error', window: null }
        const response = options.fetch(address as string, streamed as RequestInit)
        response.catch((thrown: unknown) => failed.abort(thrown))
        return response
      },
      transformer,
      headers: ({ op }) => headers([op]),
    })({})
    return ({ op, next }) => link({ op: { ...op, input: new Uint8Array() }, next })
  }

  return ({ input, context }, address, params) => {
    const url = toHttpUrl(address, params)
    if (isByteStream(input)) return streaming(url, input)
    // A header is of one request, and so is a key.
    const alone = isOwnBody(input) || idempotencyKeyOf(context) !== undefined
    return alone ? linksFor(url).single : linksFor(url).batched
  }
}
