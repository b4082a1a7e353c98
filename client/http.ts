/** Queries and mutations over plain HTTP. The code that sends them (http-requests.ts) is loaded with the first. */
import { TRPCClientError } from '@trpc/client'
import type { Operation } from '@trpc/client'
import type { ResolvedOptions } from './options.ts'
import type { ResultObserver } from './subscriptions/subscription.ts'
import { toLoss } from './transports/transport.ts'

/** Takes a query or a mutation, and returns its withdrawal. */
export type SendRequest = (operation: Operation, observer: ResultObserver) => () => void

export function createHttp(options: ResolvedOptions): SendRequest {
  return (operation, observer) => {
    const withdrawn = new AbortController()
    // What could not be loaded is asked for again by the next one.
    import('./http-requests.ts').then(
      ({ sendOverHttp }) => sendOverHttp(options, operation, observer, withdrawn.signal),
      (thrown: unknown) => {
        const { why } = toLoss(thrown, 'The code for HTTP could not be loaded')
        if (!withdrawn.signal.aborted) observer.error(TRPCClientError.from(why))
      },
    )
    return () => withdrawn.abort()
  }
}
