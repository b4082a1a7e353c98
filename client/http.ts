/** Queries and mutations over plain HTTP. The links that send them (http-links.ts) are loaded with the first of them. */
import { TRPCClientError } from '@trpc/client'
import type { Operation } from '@trpc/client'
import type { Unsubscribable } from '@trpc/server/observable'
import { SluiceError, toError } from '../shared/errors.ts'
import type { LinkFor } from './http-links.ts'
import type { ResolvedOptions } from './options.ts'
import type { ResultObserver } from './subscriptions/subscription.ts'

export type OverHttp = (operation: Operation, observer: ResultObserver) => Unsubscribable

export function createHttp(options: ResolvedOptions): OverHttp {
  let links: Promise<LinkFor> | null = null

  const load = async () => {
    try {
      const { createHttpLinks } = await import('./http-links.ts')
      return createHttpLinks(options)
    } catch (cause) {
      links = null // the next request tries again
      throw new SluiceError('CONNECTION_LOST', 'The code for requests over HTTP could not be loaded.', {
        cause,
      })
    }
  }

  return (op, observer) => {
    let request: Unsubscribable | null = null
    let withdrawn = false
    const begin = async () => {
      links ??= load()
      const [linkFor, url, params] = await Promise.all([
        links,
        options.url(),
        options.connectionParams?.() ?? null,
      ])
      if (withdrawn) return
      const link = linkFor(op, url, params)
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
