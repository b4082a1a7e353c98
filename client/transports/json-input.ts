/** Over HTTP there is JSON alone, which does not carry all that a codec would over a WebSocket. */
import { TRPCClientError } from '@trpc/client'
import { toError } from '../../shared/errors.ts'
import type { ResolvedOptions } from '../options.ts'
import type { AskedSubscription, TransportReports } from './transport.ts'

/** Whether it can be asked for in JSON; if not, that is its answer, for it would be so each time. */
export function goesAsJson(
  { id, input }: AskedSubscription,
  { codec }: ResolvedOptions,
  reports: TransportReports,
): boolean {
  if (!codec) return true // the link has seen to that already
  try {
    JSON.stringify(input(false))
    return true
  } catch (thrown) {
    reports.received({ type: 'error', id, error: TRPCClientError.from(toError(thrown)) })
    return false
  }
}
