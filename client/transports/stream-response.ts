/** One response for several subscriptions: each of its events is a message, as over a WebSocket. */
import { SluiceError } from '../../shared/errors.ts'
import type { ClientMessage } from '../../shared/protocol/messages.ts'
import type { StreamBody } from '../../shared/protocol/stream.ts'
import type { ResolvedOptions } from '../options.ts'
import { decodeFrame } from './decode.ts'
import { openEventResponse, toOperation, type EventReports, type EventResponse } from './event-response.ts'
import { refusal } from './refusal.ts'
import type { AskedSubscription, Loss, Received } from './transport.ts'
import { headersFor } from './http-options.ts'
import { toHttpUrl, toStreamUrl } from './http-url.ts'

export interface StreamRequest {
  readonly asked: readonly AskedSubscription[]
  readonly timeoutMs: number
  /** How long the server is to wait for news before it ends the response; undefined: it is not to end it. */
  readonly holdMs: number | undefined
  /** Whether one of those that are still wanted has a consumer without room. */
  room(): Promise<void> | null
}

export interface MessageReports extends Pick<EventReports, 'connected' | 'ended'> {
  received(message: Received): void
  lost(loss: Loss): void
}

/** Posts the list at once. */
export function openStreamResponse(
  options: ResolvedOptions,
  { asked, holdMs, ...request }: StreamRequest,
  reports: MessageReports,
): EventResponse {
  const { url, connectionParams, transformer } = options

  const prepare = async () => {
    const opList = asked.map(one => toOperation(one))
    const [base, params, extra] = await Promise.all([
      url(),
      connectionParams?.() ?? null,
      headersFor(options, opList),
    ])
    const subscriptions = asked.map(one => toMessage(one))

    const body: StreamBody = { subscriptions, connectionParams: params, holdMs }
    return { url: toStreamUrl(toHttpUrl(base, null)), headers: extra, body: JSON.stringify(body) }
  }

  return openEventResponse(
    options,
    { ...request, prepare },
    {
      ...reports,
      heard: () => {}, // `connected` is what tells a stream from anything else
      event({ event, data }) {
        if (event !== undefined && event !== 'message') return // another's extension
        for (const message of decodeFrame(data, transformer.output)) reports.received(message)
      },
      refused: async response => reports.lost(await toRefusal(response, options)),
    },
  )
}

function toMessage({ id, path, input, wish }: AskedSubscription): ClientMessage {
  return { id, method: 'subscription', params: { path, input: input(false), ...wish() } }
}

/**
 * What passes is waited for. Any other answer comes from somebody who knows nothing of streams, or forbids them; only
 * a page in place of a stream may be a portal that wants a login first, and is asked again if there is nothing else.
 */
async function toRefusal(response: Response, options: ResolvedOptions): Promise<Loss> {
  const outcome = await refusal(response, 0, options)
  if ('why' in outcome) return response.ok ? { ...outcome, unsupported: true } : outcome
  const cause = outcome.type === 'error' ? outcome.error : undefined
  const message = `The server answered the request for a stream with HTTP status ${response.status}.`
  const why = new SluiceError('CONNECTION_REFUSED', message, { data: { status: response.status }, cause })
  return { why, final: true, unsupported: true }
}
