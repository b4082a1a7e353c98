/** What a response means that is no stream of events: the server's own error, or somebody's on the way to it. */
import { TRPCClientError } from '@trpc/client'
import { SluiceError } from '../../shared/errors.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { ResolvedOptions } from '../options.ts'
import { parseJson } from './decode.ts'
import { decodeError } from './decode-event.ts'
import { retryAfterMs } from './retry-after.ts'
import type { Loss, Received } from './transport.ts'

/** Statuses that pass: timeout, too many requests, and what a gateway says while the server is away. */
const passing = new Set([408, 429, 502, 503, 504])

export async function refusal(
  response: Response,
  id: RequestId,
  { transformer, clock }: ResolvedOptions,
): Promise<Received | Loss> {
  const { status } = response
  if (status === 204) {
    // "No more", to an EventSource.
    return { type: 'stopped', id }
  }
  const text = await response.text()
  const error = tryDecode(text, id, transformer.output)
  const message = `The server answered with HTTP status ${status}${response.ok ? ' and no stream of events' : ''}.`
  if (passing.has(status) || response.ok || (status >= 500 && !error)) {
    // A 500 that is not tRPC's, or a page in place of a stream, comes from something in between: a proxy whose
    // server restarts, a portal that wants a login. It passes.
    const why = new SluiceError('CONNECTION_LOST', message, { data: { status }, cause: error?.error })
    return { why, afterMs: retryAfterMs(response.headers.get('retry-after'), clock.now()) }
  }
  if (error) return error
  const refused = new SluiceError('CONNECTION_REFUSED', message, { data: { status } })
  return { type: 'error', id, error: TRPCClientError.from(refused) }
}

function tryDecode(text: string, id: RequestId, output: ResolvedOptions['transformer']['output']) {
  try {
    const body = parseJson(text)
    const shape = (Array.isArray(body) ? body[0] : body) as { error?: unknown } | null
    const decoded = decodeError(JSON.stringify(shape?.error), id, output)
    return decoded.type === 'error' ? decoded : null
  } catch {
    return null // not tRPC's answer; the status says what there is to know
  }
}
