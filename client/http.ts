/**
 * Queries and mutations over plain HTTP, by tRPC's own links: batched, except for what only a request of its own can
 * carry (files and forms).
 */
import { httpBatchLink, httpLink, isNonJsonSerializable, TRPCClientError } from '@trpc/client'
import type { Operation, OperationLink } from '@trpc/client'
import type { AnyRouter } from '@trpc/server'
import type { Unsubscribable } from '@trpc/server/observable'
import { toError } from '../shared/errors.ts'
import type { ResolvedOptions } from './options.ts'
import type { ResultObserver } from './subscriptions/subscription.ts'
import { toHttpUrl } from './transports/url.ts'

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
      single: httpLink<AnyRouter>({ ...shared, headers: ({ op }) => options.headers([op]) })({}),
    }
    return current
  }

  return (op, observer) => {
    let request: Unsubscribable | null = null
    let withdrawn = false
    const begin = async () => {
      const [url, params] = await Promise.all([options.url(), options.connectionParams?.() ?? null])
      if (withdrawn) return
      const links = linksFor(toHttpUrl(url, params))
      const link = isNonJsonSerializable(op.input) ? links.single : links.batched
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
