/** One subscription over one streamed HTTP response, from the request to the end of its body. */
import { createParser } from 'eventsource-parser'
import type { EventSourceMessage } from 'eventsource-parser'
import type { HTTPHeaders } from '@trpc/client'
import { isSluiceError, SluiceError, toError } from '../../shared/errors.ts'
import type { Timer } from '../../shared/clock.ts'
import { sseEvent } from '../../shared/protocol/sse.ts'
import { fromReadableStream } from '../../shared/iterate/web-streams.ts'
import type { ResolvedOptions } from '../options.ts'
import { decodeConnected, decodeData, decodeError, type ConnectedOptions } from './decode.ts'
import { refusal } from './refusal.ts'
import { toLoss } from './transport.ts'
import type { AskedSubscription, Loss, Received } from './transport.ts'
import { toHttpUrl, toStreamUrl } from './url.ts'
import { Watchdog } from './watchdog.ts'

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

  /** Ends the request, and with it whatever waits for a piece of its body. */
  readonly #abort = new AbortController()
  #over = false
  #connected = false
  /** An event came: whatever ends the response now, it was of use. */
  #brought = false
  readonly #connectTimer: Timer
  /** How long the server may be silent, in milliseconds; Infinity until it has promised signs of life. */
  #quietMs = Infinity
  /** Takes over from the connect timer; null while nothing is read. */
  #watchdog: Watchdog | null = null

  /** Sends the request at once. */
  constructor(options: ResolvedOptions, asked: AskedSubscription, reports: StreamReports) {
    this.#options = options
    this.#asked = asked
    this.#reports = reports
    const { connectTimeoutMs } = options
    this.#connectTimer = options.clock.after(connectTimeoutMs, () =>
      this.#lose({
        why: new SluiceError('CONNECTION_LOST', `The server did not answer within ${connectTimeoutMs} ms.`),
        retry: true,
      }),
    )
    if (asked.flow) asked.flow.heeded = true
    this.#run().catch((thrown: unknown) => {
      // A body that breaks off rejects with a TypeError, on iOS also when the page was merely hidden: a loss.
      this.#lose(
        toLoss(thrown, this.#connected ? 'The response broke off' : 'The stream could not be opened'),
      )
    })
  }

  /** After a hint that the network or the page has changed: is the peer overdue? */
  check(withinMs: number): void {
    if (this.#watchdog?.overdue) this.#watchdog.probe(withinMs)
  }

  close(): void {
    if (!this.#over) this.#end()
  }

  async #run(): Promise<void> {
    const response = await this.#request()
    if (this.#over) return
    const { body } = response
    if (!response.ok || !isEventStream(response) || body === null) return this.#refused(response)
    const parser = createParser({ onEvent: event => this.#event(event) })
    const decoder = new TextDecoder()
    for await (const bytes of fromReadableStream(body)) {
      this.#heard()
      parser.feed(decoder.decode(bytes, { stream: true }))
      if (this.#over) return
      await this.#room()
    }
    this.#lose({
      why: new SluiceError('CONNECTION_LOST', 'The response ended before the subscription did.'),
      retry: true,
      // As servers do that cannot stream, or that limit a response's duration.
      served: this.#brought,
    })
  }

  async #request(): Promise<Response> {
    const { url, connectionParams, headers, fetch, onError } = this.#options
    const { id, path, input, lastEventId, again } = this.#asked
    let prepared
    try {
      const op = {
        id: Number(id),
        type: 'subscription' as const,
        path,
        input: input.own,
        context: {},
        signal: null,
      }
      prepared = await Promise.all([url(), connectionParams?.() ?? null, headers([op])])
    } catch (thrown) {
      onError(toError(thrown)) // the application's own functions
      throw thrown
    }
    const [base, params, extra] = prepared
    return fetch(
      toStreamUrl(toHttpUrl(base, params), { path, input: input.serialized, lastEventId, again }),
      {
        headers: [['accept', 'text/event-stream'], ...toEntries(extra)],
        signal: this.#abort.signal,
        cache: 'no-store',
      },
    )
  }

  /** While the consumer has no room, nothing is read: TCP tells the server. */
  async #room(): Promise<void> {
    const { flow } = this.#asked
    if (!flow?.full) return
    // A peer that we do not listen to cannot be called silent.
    this.#watchdog?.stop()
    this.#watchdog = null
    await flow.whenRoom()
    if (!this.#over) this.#watch()
  }

  #heard(): void {
    this.#watchdog?.heard()
    this.#reports.heard()
  }

  #event(event: EventSourceMessage): void {
    if (this.#over) return
    try {
      this.#decode(event)
    } catch (thrown) {
      const error = toError(thrown)
      if (isSluiceError(error)) this.#options.onError(error)
      this.#lose({ ...toLoss(error, 'An event could not be read'), retry: true })
    }
  }

  #decode(event: EventSourceMessage): void {
    const { id } = this.#asked
    const { output } = this.#options.transformer
    switch (event.event) {
      case undefined:
      case 'message':
        this.#brought = true
        return this.#reports.received(decodeData(event, id, output), event.data.length)
      case sseEvent.connected: {
        const connected = decodeConnected(event.data)
        this.#connectTimer.cancel()
        this.#quietMs = allowedSilence(connected, this.#options.heartbeatMs)
        this.#watch()
        this.#connected = true
        this.#reports.connected()
        return this.#reports.received({ type: 'started', id, position: connected.position })
      }
      case sseEvent.ping:
        return // that it came is all that it says
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
    this.#heard()
    if ('why' in outcome) this.#lose(outcome)
    else this.#finish(outcome)
  }

  #watch(): void {
    this.#watchdog?.stop()
    const { clock, heartbeatTimeoutMs } = this.#options
    this.#watchdog = new Watchdog({
      clock,
      quietMs: this.#quietMs,
      answerMs: heartbeatTimeoutMs,
      onSilent: () =>
        this.#lose({
          why: new SluiceError('SILENT_PEER', 'The server sent nothing, not even a ping, for too long.'),
          retry: true,
        }),
    })
  }

  /** Ends first and tells then, so that whoever is told may ask again at once. */
  #finish(message: Received): void {
    this.#end()
    this.#reports.ended(message)
  }

  #lose(loss: Loss): void {
    if (this.#over) return
    this.#end()
    this.#reports.lost(loss)
  }

  #end(): void {
    this.#over = true
    this.#connected = false
    this.#connectTimer.cancel()
    this.#watchdog?.stop()
    this.#abort.abort()
  }
}

/**
 * By what the server says of itself, and by nothing else: a stream without pings may be quiet for as long as nothing
 * happens, and one with pings is dead without them, whether or not the first has come yet.
 */
function allowedSilence(connected: ConnectedOptions, heartbeatMs: number): number {
  const { pingMs, reconnectAfterInactivityMs } = connected
  if (reconnectAfterInactivityMs !== undefined) return reconnectAfterInactivityMs // the application's own wish
  return pingMs === undefined ? Infinity : Math.max(heartbeatMs, pingMs)
}

function isEventStream(response: Response): boolean {
  return response.headers.get('content-type')?.startsWith('text/event-stream') ?? false
}

function toEntries(headers: HTTPHeaders): [string, string][] {
  const entries = isIterable(headers) ? [...headers] : Object.entries(headers)
  return entries.flatMap(([name, value]): [string, string][] => {
    if (value === undefined) return []
    return typeof value === 'string' ? [[name, value]] : value.map(one => [name, one])
  })
}

function isIterable(headers: HTTPHeaders): headers is Extract<HTTPHeaders, Iterable<[string, string]>> {
  return Symbol.iterator in headers
}
