/** One streamed HTTP response of server-sent events, from the request to the end of its body. */
import type { HTTPHeaders } from '@trpc/client'
import { isSluiceError, SluiceError, toError } from '../../shared/errors.ts'
import type { Timer } from '../../shared/clock.ts'
import { fromReadableStream } from '../../shared/iterate/web-streams.ts'
import { sseEvent } from '../../shared/protocol/sse.ts'
import type { ResolvedOptions } from '../options.ts'
import { decodeConnected, type ConnectedOptions } from './decode-event.ts'
import { createEventParser, type StreamEvent } from './event-parser.ts'
import { toLoss, type Loss } from './transport.ts'
import { createWatchdog, type Watchdog } from './watchdog.ts'

/** What to ask for. */
export interface EventRequest {
  /** How long it may take until `connected`, in milliseconds. */
  readonly timeoutMs: number
  /** Calls the application's own functions, and says what is to be fetched. */
  prepare(): Promise<{ readonly url: string; readonly headers: HTTPHeaders; readonly body?: string }>
  /** While it returns a promise, nothing is read: TCP tells the server. */
  room(): Promise<void> | null
}

/** To whom a response reports. Nothing is reported after `refused`, `ended` or `lost`, or after `close()`. */
export interface EventReports {
  /** Something was received. */
  heard(): void
  connected(options: ConnectedOptions): void
  /** An event, but for `connected` and `ping`. What it throws is taken for an event that could not be read. */
  event(event: StreamEvent): void
  /** It is no stream of events. */
  refused(response: Response): Promise<void>
  /** It has come to its end. */
  ended(): void
  lost(loss: Loss): void
}

export class EventResponse {
  readonly #options: ResolvedOptions
  readonly #request: EventRequest
  readonly #reports: EventReports

  /** Ends the request, and with it whatever waits for a piece of its body. */
  readonly #abort = new AbortController()
  #over = false
  #connected = false
  readonly #connectTimer: Timer
  /** How long the server may be silent, in milliseconds; Infinity until it has promised signs of life. */
  #quietMs = Infinity
  /** Takes over from the connect timer; null while nothing is read. */
  #watchdog: Watchdog | null = null

  /** Sends the request at once. */
  constructor(options: ResolvedOptions, request: EventRequest, reports: EventReports) {
    this.#options = options
    this.#request = request
    this.#reports = reports
    const { timeoutMs } = request
    this.#connectTimer = options.clock.after(timeoutMs, () =>
      this.#lose({
        why: new SluiceError('CONNECTION_LOST', `The server did not answer within ${timeoutMs} ms.`),
        retry: true,
        unanswered: true,
      }),
    )
    this.#run().catch((thrown: unknown) => {
      // A body that breaks off rejects with a TypeError, on iOS also when the page was merely hidden: a loss.
      this.#lose(
        toLoss(thrown, this.#connected ? 'The response broke off' : 'The stream could not be opened'),
      )
    })
  }

  /** After a hint that the network or the page has changed: is the peer overdue? */
  check(withinMs: number): void {
    if (this.#watchdog?.overdue) this.#watchdog.probe(withinMs, () => this.#silent({ atOnce: true }))
  }

  close(): void {
    if (this.#over) return
    this.#over = true
    this.#connectTimer.cancel()
    this.#watchdog?.stop()
    this.#abort.abort()
  }

  async #run(): Promise<void> {
    const response = await this.#fetch()
    if (this.#over) return
    const { body } = response
    if (!response.ok || !isEventStream(response)) {
      await this.#reports.refused(response)
      return this.close()
    }
    // React Native's fetch; its type says that there is a body or null, and there it is undefined.
    if (!body) return this.#lose({ why: noStreams(), retry: false, unsupported: true })
    const parse = createEventParser(event => this.#event(event))
    const decoder = new TextDecoder()
    for await (const bytes of fromReadableStream(body)) {
      this.#watchdog?.heard()
      this.#reports.heard()
      parse(decoder.decode(bytes, { stream: true }))
      if (this.#over) return
      await this.#room()
    }
    if (this.#over) return
    this.close()
    this.#reports.ended()
  }

  async #fetch(): Promise<Response> {
    const { fetch, onError } = this.#options
    let prepared
    try {
      prepared = await this.#request.prepare()
    } catch (thrown) {
      onError(toError(thrown)) // the application's own functions
      throw thrown
    }
    const { url, headers, body } = prepared
    const posted = body === undefined ? {} : { method: 'POST', body }
    const contentType: [string, string][] = body === undefined ? [] : [['content-type', 'application/json']]
    return fetch(url, {
      ...posted,
      headers: [['accept', 'text/event-stream'], ...contentType, ...toEntries(headers)],
      signal: this.#abort.signal,
      cache: 'no-store',
    })
  }

  async #room(): Promise<void> {
    for (let room = this.#request.room(); room && !this.#over; room = this.#request.room()) {
      // A peer that we do not listen to cannot be called silent.
      this.#watchdog?.stop()
      this.#watchdog = null
      await room
    }
    if (!this.#over && this.#connected && !this.#watchdog) this.#watch()
  }

  #event(event: StreamEvent): void {
    if (this.#over) return
    try {
      if (event.event === sseEvent.ping) return // that it came is all that it says
      if (event.event === sseEvent.connected) this.#connect(decodeConnected(event.data))
      else this.#reports.event(event)
    } catch (thrown) {
      const error = toError(thrown)
      if (isSluiceError(error)) this.#options.onError(error)
      this.#lose({ ...toLoss(error, 'An event could not be read'), retry: true })
    }
  }

  #connect(connected: ConnectedOptions): void {
    this.#connectTimer.cancel()
    this.#quietMs = allowedSilence(connected, this.#options.heartbeatMs)
    this.#watchdog?.stop()
    this.#watch()
    this.#connected = true
    this.#reports.connected(connected)
  }

  #watch(): void {
    const { clock, heartbeatTimeoutMs } = this.#options
    this.#watchdog = createWatchdog({
      clock,
      quietMs: this.#quietMs,
      answerMs: heartbeatTimeoutMs,
      onSilent: () => this.#silent(),
    })
  }

  #silent(how: Pick<Loss, 'atOnce'> = {}): void {
    const why = new SluiceError('SILENT_PEER', 'The server sent nothing, not even a ping, for too long.')
    this.#lose({ why, retry: true, ...how })
  }

  /** Ends first and tells then, so that whoever is told may ask again at once. */
  #lose(loss: Loss): void {
    if (this.#over) return
    this.close()
    this.#reports.lost(loss)
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

function noStreams(): SluiceError {
  return new SluiceError(
    'TRANSPORT_UNAVAILABLE',
    'The fetch of this environment does not stream: its response has no body. Let the link have a WebSocket, or pass a fetch that streams.',
  )
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
