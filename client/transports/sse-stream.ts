/** One subscription over one streamed HTTP response. */
import { SluiceError } from '../../shared/errors.ts'
import { sseEvent } from '../../shared/protocol/sse.ts'
import type { ResolvedOptions } from '../options.ts'
import { decodeData, decodeError, decodeLag, type ConnectedOptions } from './decode-event.ts'
import type { StreamEvent } from './event-parser.ts'
import { EventResponse } from './event-response.ts'
import { refusal } from './refusal.ts'
import { toOperation } from './transport.ts'
import type { AskedSubscription, Loss, Received } from './transport.ts'
import { toHttpUrl, toSubscriptionUrl } from './http-url.ts'

/** To whom a stream reports. Nothing is reported after `ended` or `lost`, or after `close()`. */
export interface StreamReports {
  /** The server has accepted the subscription. */
  connected(): void
  /** Something was received. */
  heard(): void
  /** @param size the characters of an event. */
  received(message: Received, size?: number): void
  /** The server has said its last word on this subscription. */
  ended(last: Received): void
  lost(loss: Loss): void
}

export class SseStream {
  readonly #options: ResolvedOptions
  readonly #asked: AskedSubscription
  readonly #reports: StreamReports
  readonly #response: EventResponse
  #over = false
  /** An event came: whatever ends the response now, it was of use. */
  #brought = false

  /** Sends the request at once. */
  constructor(options: ResolvedOptions, asked: AskedSubscription, reports: StreamReports) {
    this.#options = options
    this.#asked = asked
    this.#reports = reports
    const { flow } = asked
    if (flow) flow.heeded = true
    const request = {
      timeoutMs: options.connectTimeoutMs,
      prepare: () => this.#prepare(),
      room: () => (flow?.full ? flow.whenRoom() : null),
    }
    this.#response = new EventResponse(options, request, {
      heard: () => reports.heard(),
      connected: connected => this.#connected(connected),
      event: event => this.#event(event),
      refused: response => this.#refused(response),
      ended: () =>
        reports.lost({
          why: new SluiceError('CONNECTION_LOST', 'The response ended before the subscription did.'),
          retry: true,
          // As servers do that cannot stream, or that limit a response's duration.
          served: this.#brought,
        }),
      lost: loss => {
        this.#over = true
        reports.lost(loss)
      },
    })
  }

  /** After a hint that the network or the page has changed: is the peer overdue? */
  check(withinMs: number): void {
    this.#response.check(withinMs)
  }

  close(): void {
    this.#over = true
    this.#response.close()
  }

  async #prepare() {
    const { url, connectionParams, headers } = this.#options
    const { id, path, input, lastEventId, again, lag } = this.#asked
    const op = toOperation(id, path, input)
    const prepared = await Promise.all([url(), connectionParams?.() ?? null, headers([op])])
    const [base, params, extra] = prepared
    const asked = { path, input: input.serialized, lastEventId, again, lag }
    return {
      url: toSubscriptionUrl(toHttpUrl(base, params), asked),
      headers: extra,
    }
  }

  #connected({ position }: ConnectedOptions): void {
    this.#reports.connected()
    this.#reports.received({ type: 'started', id: this.#asked.id, position })
  }

  #event(event: StreamEvent): void {
    const { id } = this.#asked
    const { output } = this.#options.transformer
    switch (event.event) {
      case undefined:
      case 'message':
        this.#brought = true
        return this.#reports.received(decodeData(event, id, output), event.data.length)
      case sseEvent.lag:
        return this.#reports.received(decodeLag(event.data, id))
      case sseEvent.error:
        return this.#finish(decodeError(event.data, id, output))
      case sseEvent.return:
        return this.#finish({ type: 'stopped', id })
      default: // another's extension: let pass, as an EventSource would
    }
  }

  async #refused(response: Response): Promise<void> {
    const outcome = await refusal(response, this.#asked.id, this.#options)
    if (this.#over) return
    this.#reports.heard()
    if ('why' in outcome) {
      this.close()
      this.#reports.lost(outcome)
    } else {
      this.#finish(outcome)
    }
  }

  /** Ends first and tells then, so that whoever is told may ask again at once. */
  #finish(message: Received): void {
    this.close()
    this.#reports.ended(message)
  }
}
