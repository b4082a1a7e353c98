/** Over HTTP there is JSON alone, which does not carry all that a codec would over a WebSocket. */
import { TRPCClientError } from '@trpc/client'
import { toError } from '../../shared/errors.ts'
import type { AskedSubscription, TransportReports } from './transport.ts'

/** Whether JSON carries the input of what is asked for; else that is its answer, for it would be so each time. */
export function isCarriedByJson({ id, input }: AskedSubscription, reports: TransportReports): boolean {
  try {
    JSON.stringify(input(false))
    return true
  } catch (thrown) {
    reports.received({ type: 'error', id, error: TRPCClientError.from(toError(thrown)) })
    return false
  }
}
