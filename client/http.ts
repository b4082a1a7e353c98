/**
 * Queries and mutations over plain HTTP, by tRPC's own links: batched, except for what only a request of its own can
 * carry (files, forms and streams of bytes).
 */
import { httpBatchLink, httpLink, isNonJsonSerializable, TRPCClientError } from '@trpc/client'
import type { Operation, OperationLink } from '@trpc/client'
import type { AnyRouter } from '@trpc/server'
import type { Unsubscribable } from '@trpc/server/observable'
import { toError } from '../shared/errors.ts'
import { idempotencyKeyOf } from './idempotency-key.ts'
import type { ResolvedOptions } from './options.ts'
import type { ResultObserver } from './subscriptions/subscription.ts'
import { toHttpUrl } from './transports/url.ts'

/** What is not JSON: it is sent as the body of a request of its own, also where there is a WebSocket. */
export function isOwnBody(input: unknown): boolean {
  return isByteStream(input) || isNonJsonSerializable(input)
}

function isByteStream(input: unknown): input is ReadableStream<Uint8Array<ArrayBuffer>> {
  return typeof ReadableStream !== 'undefined' && input instanceof ReadableStream
}

/** Longer request lines are split into several batches: many a proxy refuses them. */
const maxURLLength = 8_000

export type OverHttp = (operation: Operation, observer: ResultObserver) => Unsubscribable

export function createHttp(options: ResolvedOptions): OverHttp {
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

  const linkFor = ({ input, context }: Operation, url: string) => {
    if (isByteStream(input)) return streaming(url, input)
    // A header is of one request, and so is a key.
    const alone = isNonJsonSerializable(input) || idempotencyKeyOf(context) !== undefined
    return alone ? linksFor(url).single : linksFor(url).batched
  }

  return (op, observer) => {
    let request: Unsubscribable | null = null
    let withdrawn = false
    const begin = async () => {
      const [url, params] = await Promise.all([options.url(), options.connectionParams?.() ?? null])
      if (withdrawn) return
      const link = linkFor(op, toHttpUrl(url, params))
      // These links end the chain; next is for those in the middle of one.
      request = link({
        op,
        next: () => {
          throw new Error("tRPC's HTTP links are the last of their chain.")
        },
      }).subscribe(observer)
    }
    begin().catch((thrown: unknown) => observer.error(TRPCClientError.from(toError(thrown))))
    return {
      unsubscribe() {
        withdrawn = true
        request?.unsubscribe()
      },
    }
  }
}
