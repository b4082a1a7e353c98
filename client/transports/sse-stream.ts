/** One subscription over one streamed HTTP response. */
import { SluiceError } from '../../shared/errors.ts'
import { sseEvent } from '../../shared/protocol/sse.ts'
import type { ResolvedOptions } from '../options.ts'
import { decodeData, decodeError, decodeLag } from './decode-event.ts'
import type { StreamEvent } from './event-parser.ts'
import { openEventResponse, toOperation, type EventResponse } from './event-response.ts'
import { refusal } from './refusal.ts'
import type { AskedSubscription, Loss, Received } from './transport.ts'
import { headersFor } from './http-options.ts'
import { toHttpUrl, toSubscriptionUrl } from './http-url.ts'

/** To whom a stream reports. Nothing is reported after `ended` or `lost`, or after `close()`. */
export interface StreamReports {
  /** The server has accepted the subscription. */
  connected(): void
  /** Something was received. */
  heard(): void
  received(message: Received): void
  /** The server has said its last word on this subscription. */
  ended(last: Received): void
  lost(loss: Loss): void
}

export interface SseStream extends EventResponse {
  /** Whether it could go on elsewhere from where it is. */
  movable(): boolean
}

/** Sends the request at once. */
export function openSseStream(
  options: ResolvedOptions,
  asked: AskedSubscription,
  reports: StreamReports,
): SseStream {
  const { connectTimeoutMs: timeoutMs, transformer } = options
  const { output } = transformer
  const { id, path, input, flow } = asked
  /** At the moment of asking: later the server may have begun. */
  const wish = asked.wish()
  let over = false
  /** An event came: whatever ends the response now, it was of use. */
  let brought = false
  flow?.heed()

  const prepare = async () => {
    const { url, connectionParams } = options
    const op = toOperation(asked)
    const prepared = await Promise.all([url(), connectionParams?.() ?? null, headersFor(options, [op])])
    const [base, params, extra] = prepared
    return {
      url: toSubscriptionUrl(toHttpUrl(base, params), { path, input: input(false), ...wish }),
      headers: extra,
    }
  }

  const take = (event: StreamEvent) => {
    switch (event.event ?? 'message') {
      case 'message':
        brought = true
        return reports.received(decodeData(event, id, output))
      case sseEvent.lag:
        return reports.received(decodeLag(event.data, id))
      case sseEvent.error:
        return finish(decodeError(event.data, id, output))
      case sseEvent.return:
        return finish({ type: 'stopped', id })
      default: // another's extension: let pass, as an EventSource would
    }
  }

  const refused = async (refusing: Response) => {
    const outcome = await refusal(refusing, id, options)
    if (over) return
    reports.heard()
    if (!('why' in outcome)) return finish(outcome)
    close()
    reports.lost(outcome)
  }

  /** Ends first and tells then, so that whoever is told may ask again at once. */
  const finish = (last: Received) => {
    close()
    reports.ended(last)
  }

  const close = () => {
    over = true
    response.close()
  }

  const response = openEventResponse(
    options,
    { timeoutMs, prepare, room: () => (flow?.full ? flow.whenRoom() : null) },
    {
      heard: () => reports.heard(),
      connected({ position }) {
        reports.connected()
        reports.received({ type: 'started', id, position })
      },
      event: take,
      refused,
      ended: () =>
        reports.lost({
          why: new SluiceError('CONNECTION_LOST', 'The response ended before the subscription did.'),
          // As servers do that cannot stream, or that limit a response's duration.
          served: brought,
        }),
      lost(loss) {
        over = true
        reports.lost(loss)
      },
    },
  )
  const movable = () => asked.wish().lastEventId !== undefined
  return { check: withinMs => response.check(withinMs), movable, close }
}
