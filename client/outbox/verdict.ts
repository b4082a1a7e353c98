/** What becomes of a mutation that was not answered with a result. */
import { isSluiceError } from '../../shared/errors.ts'
import type { SluiceErrorData } from '../../shared/protocol/messages.ts'
import type { ClientError } from '../transports/transport.ts'

/** `again`: nobody knows whether it ran, or the server asks for patience. `closed`: the link is gone, not the wish. */
export type Verdict = 'again' | 'refused' | 'closed'

/** tRPC's codes that pass, from a server or a proxy that says no more than that. */
const passing = new Set([
  'BAD_GATEWAY',
  'CLIENT_CLOSED_REQUEST',
  'GATEWAY_TIMEOUT',
  'SERVICE_UNAVAILABLE',
  'TIMEOUT',
  'TOO_MANY_REQUESTS',
])

export function verdictOn(error: ClientError): Verdict {
  const data = error.data as { code?: string; sluice?: Partial<SluiceErrorData> } | null | undefined
  if (data) return answered(data.code, data.sluice)
  // Without a shape, no server of tRPC's has spoken: the connection was lost, or something in between has answered.
  return isSluiceError(error.cause) && error.cause.code === 'LINK_CLOSED' ? 'closed' : 'again'
}

function answered(code: string | undefined, ours: Partial<SluiceErrorData> | undefined): Verdict {
  // The server itself does not know what became of an earlier try: that is for a person to find out.
  if (ours?.code === 'OUTCOME_UNKNOWN') return 'refused'
  if (ours?.code !== undefined) return ours.retry ? 'again' : 'refused'
  return code !== undefined && passing.has(code) ? 'again' : 'refused'
}
