/** One streamed HTTP response of server-sent events, from the request to the end of its body. */
import type { HTTPHeaders, Operation } from '@trpc/client'
import { isSluiceError, SluiceError, toError } from '../../shared/errors.ts'
import { sseEvent } from '../../shared/protocol/sse.ts'
import type { ResolvedOptions } from '../options.ts'
import { decodeConnected, type ConnectedOptions } from './decode-event.ts'
import { createEventParser, type StreamEvent } from './event-parser.ts'
import { fetchOf } from './http-options.ts'
import { toLoss, type AskedSubscription, type Loss } from './transport.ts'
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

export interface EventResponse {
  /** After a hint that the network or the page has changed: is the peer overdue? */
  check(withinMs: number): void
  close(): void
}

/** Sends the request at once. */
export function openEventResponse(
  options: ResolvedOptions,
  { timeoutMs, prepare, room }: EventRequest,
  reports: EventReports,
): EventResponse {
  const { clock, heartbeatMs, heartbeatTimeoutMs, onError } = options
  /** Ends the request, and with it whatever waits for a piece of its body. */
  const request = new AbortController()
  let over = false
  let connected = false
  /** How long the server may be silent, in milliseconds; Infinity until it has promised signs of life. */
  let quietMs = Infinity
  /** Takes over from the connect timer; null while nothing is read. */
  let watchdog: Watchdog | null = null

  const connectTimer = clock.after(timeoutMs, () =>
    lose({
      why: new SluiceError('CONNECTION_LOST', `The server did not answer within ${timeoutMs} ms.`),
      unanswered: true,
    }),
  )

  const run = async () => {
    const response = await fetchResponse()
    if (over) return
    const { body } = response
    if (!response.ok || !isEventStream(response)) {
      await reports.refused(response)
      return close()
    }
    // React Native's fetch; its type says that there is a body or null, and there it is undefined.
    if (!body) return lose({ why: noStreams(), final: true, unsupported: true })
    const parse = createEventParser(take)
    const decoder = new TextDecoder()
    const reader = body.getReader()
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      watchdog?.heard()
      reports.heard()
      parse(decoder.decode(read.value, { stream: true }))
      await whenRoom()
      if (over) return
    }
    if (over) return
    close()
    reports.ended()
  }

  const fetchResponse = async () => {
    let prepared
    try {
      prepared = await prepare()
    } catch (thrown) {
      onError(toError(thrown)) // the application's own functions
      throw thrown
    }
    const { url, headers, body } = prepared
    const posted = body === undefined ? {} : { method: 'POST', body }
    const contentType: [string, string][] = body === undefined ? [] : [['content-type', 'application/json']]
    return fetchOf(options)(url, {
      ...posted,
      headers: [['accept', 'text/event-stream'], ...contentType, ...toEntries(headers)],
      signal: request.signal,
      cache: 'no-store',
    })
  }

  const whenRoom = async () => {
    for (let waiting = room(); waiting && !over; waiting = room()) {
      // A peer that we do not listen to cannot be called silent.
      watchdog?.stop()
      watchdog = null
      await waiting
    }
    if (!over && connected && !watchdog) watch()
  }

  const take = (event: StreamEvent) => {
    if (over) return
    try {
      if (event.event === sseEvent.ping) return // that it came is all that it says
      if (event.event !== sseEvent.connected) return reports.event(event)
      const told = decodeConnected(event.data)
      connectTimer.cancel()
      quietMs = allowedSilence(told, heartbeatMs)
      watchdog?.stop()
      watch()
      connected = true
      reports.connected(told)
    } catch (thrown) {
      const error = toError(thrown)
      if (isSluiceError(error)) onError(error)
      lose(toLoss(error, 'An event could not be read'))
    }
  }

  const watch = () => {
    watchdog = createWatchdog({ clock, heartbeatMs: quietMs, heartbeatTimeoutMs, onSilent: () => silent() })
  }

  const silent = (how: Pick<Loss, 'atOnce'> = {}) => {
    const why = new SluiceError('SILENT_PEER', 'The server sent nothing, not even a ping, for too long.')
    lose({ why, ...how })
  }

  /** Ends first and tells then, so that whoever is told may ask again at once. */
  const lose = (loss: Loss) => {
    if (over) return
    close()
    reports.lost(loss)
  }

  const close = () => {
    over = true
    connectTimer.cancel()
    watchdog?.stop()
    request.abort()
  }

  run().catch((thrown: unknown) => {
    // A body that breaks off rejects with a TypeError, on iOS also when the page was merely hidden: a loss.
    lose(toLoss(thrown, connected ? 'The response broke off' : 'The stream could not be opened'))
  })

  return {
    check(withinMs) {
      if (watchdog?.isOverdue()) watchdog.probe(withinMs, () => silent({ atOnce: true }))
    },
    close,
  }
}

/** A subscription as the application's `headers` function gets it. */
export function toOperation({ id, path, input }: AskedSubscription): Operation {
  return { id: Number(id), type: 'subscription', path, input: input(true), context: {}, signal: null }
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
