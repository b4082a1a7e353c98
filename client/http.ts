/** Queries and mutations over plain HTTP. The code that sends them (http-requests.ts) is loaded with the first. */
import { TRPCClientError } from '@trpc/client'
import type { Operation } from '@trpc/client'
import { SluiceError, toError } from '../shared/errors.ts'
import type { SendOverHttp } from './http-requests.ts'
import type { ResolvedOptions } from './options.ts'
import type { ResultObserver } from './subscriptions/subscription.ts'

/** Takes a query or a mutation, and returns its withdrawal. */
export type SendRequest = (operation: Operation, observer: ResultObserver) => () => void

export function createHttp(options: ResolvedOptions): SendRequest {
  let code: Promise<SendOverHttp> | null = null

  const load = async () => {
    try {
      return (await import('./http-requests.ts')).createHttpRequests(options)
    } catch (cause) {
      code = null // the next request tries again
      throw new SluiceError('CONNECTION_LOST', 'The code for requests over HTTP could not be loaded.', {
        cause,
      })
    }
  }

  return (operation, observer) => {
    const withdrawn = new AbortController()
    const { signal } = withdrawn
    const begin = async () => {
      code ??= load()
      const send = await code
      if (!signal.aborted) await send(operation, observer, signal)
    }
    begin().catch((thrown: unknown) => {
      if (!signal.aborted) observer.error(TRPCClientError.from(toError(thrown)))
    })
    return () => withdrawn.abort()
  }
}
