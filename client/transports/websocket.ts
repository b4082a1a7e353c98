/** One WebSocket, from the attempt to open it to its loss. */
import { concat, type Codec } from '../../shared/codec/codec.ts'
import { isSluiceError, retryOfCloseCode, SluiceError, toError } from '../../shared/errors.ts'
import type { Timer } from '../../shared/clock.ts'
import {
  ping,
  pong,
  type ClientMessage,
  type OperationKind,
  type RequestId,
} from '../../shared/protocol/messages.ts'
import type { Hint } from '../connection/machine.ts'
import type { ConnectionParams, ResolvedOptions, WebSocketLike } from '../options.ts'
import { decodeBinaryFrame, decodeFrame } from './decode.ts'
import { retryAfterMs } from './retry-after.ts'
import { toLoss } from './transport.ts'
import type { AskedInput, AskedRequest, AskedSubscription, Loss } from './transport.ts'
import type { Received, Transport, TransportReports } from './transport.ts'
import { toWebSocketUrl } from './url.ts'
import { Watchdog } from './watchdog.ts'

/** A message that waits to be sent. */
interface Outgoing {
  readonly id: RequestId
  /** What it is about; the rest is said of what the server knows by then. */
  readonly method: ClientMessage['method']
  /** JSON, or what the codec made of it. */
  readonly frame: string | Uint8Array
}

/** Messages in one frame. A server may refuse more than 1,000: who resumes that many sends several frames. */
const maxBatchLength = 500

export class WebSocketTransport implements Transport {
  readonly kind = 'websocket'
  readonly #options: ResolvedOptions
  readonly #reports: TransportReports

  #socket: WebSocketLike | null = null
  #open = false
  /** Lost or closed: whatever still comes from the socket is let pass. */
  #over = false
  readonly #connectTimer: Timer
  #watchdog: Watchdog | null = null
  #heard = false
  /** What is sent in, once a binary frame of the server's has said that it understands; null: JSON. */
  #codec: Codec | null = null
  /** Sent together, in one frame, at the end of the turn in which the first of them was asked for. */
  #outgoing: Outgoing[] = []
  #flushing = false

  /** Begins to connect at once. */
  constructor(options: ResolvedOptions, reports: TransportReports) {
    this.#options = options
    this.#reports = reports
    const { connectTimeoutMs } = options
    this.#connectTimer = options.clock.after(connectTimeoutMs, () =>
      this.#lose({
        why: new SluiceError('CONNECTION_LOST', `The WebSocket did not open within ${connectTimeoutMs} ms.`),
        retry: true,
      }),
    )
    this.#connect().catch((thrown: unknown) => {
      if (!this.#over && !isSluiceError(thrown)) options.onError(toError(thrown))
      this.#lose(toLoss(thrown, 'The WebSocket could not be opened'))
    })
  }

  readonly request = ({ id, kind, path, input, idempotencyKey }: AskedRequest): void => {
    this.#ask(id, kind, { path, input, ...(idempotencyKey !== undefined && { idempotencyKey }) })
  }

  subscribe({ id, path, input, lastEventId, again, lag, flow }: AskedSubscription): void {
    this.#ask(id, 'subscription', {
      path,
      input,
      ...(lastEventId !== undefined && { lastEventId }),
      ...(again && { again }),
      ...(lag && { lag }),
      ...(flow && { credit: flow.credit }),
    })
  }

  grant(id: RequestId, events: number): void {
    this.#send({ id, method: 'subscription.credit', params: { events } })
  }

  unsubscribe(id: RequestId): void {
    const unsent = this.#outgoing.some(message => message.id === id && message.method === 'subscription')
    this.#outgoing = this.#outgoing.filter(message => message.id !== id)
    if (!unsent) this.#send({ id, method: 'subscription.stop' })
  }

  probe(_hint: Hint, withinMs: number): void {
    this.#watchdog?.probe(withinMs, () => this.#silent({ atOnce: true }))
  }

  close(): void {
    if (!this.#over) this.#end()
  }

  async #connect(): Promise<void> {
    const { url, connectionParams, WebSocket, codec } = this.#options
    if (WebSocket === null) {
      throw new SluiceError(
        'TRANSPORT_UNAVAILABLE',
        'There is no WebSocket here. Pass one to sluiceLink({ WebSocket }), of the package ws say, or use transport "sse".',
      )
    }
    // The params come first: a server allows a silent socket only so much time.
    const [address, params] = await Promise.all([url(), connectionParams?.() ?? null])
    if (this.#over) return
    const socket = new WebSocket(toWebSocketUrl(address, connectionParams !== null, codec?.name))
    if (codec) socket.binaryType = 'arraybuffer'
    this.#socket = socket
    socket.addEventListener('open', () => this.#opened(connectionParams === null ? undefined : params))
    socket.addEventListener('message', ({ data }) => this.#received(data))
    socket.addEventListener('close', ({ code, reason }) => this.#closed(code, reason))
    // A close event follows each error and says more. The listener stays for good: an `error` without one would
    // end a Node process, and closing a socket that is still opening makes one.
    socket.addEventListener('error', () => {})
    // Only `ws` tells what an upgrade was refused with. Who listens for that has to end the attempt.
    ;(socket as TellingSocket).on?.('unexpected-response', (_, { statusCode, headers }) => {
      const why = new SluiceError(
        'CONNECTION_LOST',
        `The upgrade was refused with HTTP status ${statusCode}.`,
        {
          data: { status: statusCode },
        },
      )
      const afterMs = retryAfterMs(headers['retry-after'] ?? null, this.#options.clock.now())
      this.#lose({ why, retry: true, ...(afterMs !== undefined && { afterMs }) })
    })
  }

  #opened(params: ConnectionParams | undefined): void {
    if (this.#over || !this.#socket) return
    this.#open = true
    this.#connectTimer.cancel()
    if (params !== undefined) this.#hello(params)
    this.#flush()
    this.#watch(this.#socket)
    this.#reports.opened()
  }

  #watch(socket: WebSocketLike): void {
    const { clock, heartbeatMs, heartbeatTimeoutMs } = this.#options
    this.#watchdog = new Watchdog({
      clock,
      quietMs: heartbeatMs,
      answerMs: heartbeatTimeoutMs,
      ask: () => socket.send(ping),
      onSilent: () => this.#silent(),
    })
    // Some middle boxes open a WebSocket and then let nothing through. The answer to this ping tells.
    if (heartbeatMs !== Infinity) this.#watchdog.probe(heartbeatTimeoutMs)
  }

  #silent(how: Pick<Loss, 'atOnce'> = {}): void {
    const why = new SluiceError('SILENT_PEER', 'The server did not answer a ping over the WebSocket.')
    this.#lose({ why, retry: true, ...how }, { dead: true })
  }

  #received(frame: unknown): void {
    if (this.#over) return
    this.#watchdog?.heard()
    if (!this.#heard) {
      this.#heard = true
      this.#reports.heard()
    }
    if (frame === pong) return
    if (frame === ping) return this.#socket?.send(pong)
    let messages
    try {
      messages = this.#decode(frame)
    } catch (thrown) {
      const error = toError(thrown)
      this.#options.onError(error)
      return this.#lose({ ...toLoss(error, 'A message could not be read'), retry: true })
    }
    const size = sizeOf(frame) / messages.length
    for (const message of messages) {
      // What a message sets off may close this very transport.
      if (this.#over) return
      if (message.type === 'renew') void this.#renew() // never rejects
      else this.#reports.received(message, size)
    }
  }

  /** Says anew who we are. Without params it is the upgrade's headers that say so, which takes another connection. */
  async #renew(): Promise<void> {
    const { connectionParams, onError } = this.#options
    if (connectionParams === null) return this.#reports.received({ type: 'reconnect' })
    try {
      const params = await connectionParams()
      if (!this.#over) this.#hello(params)
    } catch (thrown) {
      onError(toError(thrown)) // the application's own; what we said before holds until it runs out
    }
  }

  #hello(params: ConnectionParams): void {
    this.#socket?.send(JSON.stringify({ method: 'connectionParams', data: params }))
  }

  #decode(frame: unknown): Received[] {
    if (typeof frame === 'string') return decodeFrame(frame, this.#options.transformer.output)
    const { codec } = this.#options
    if (!codec || !(frame instanceof ArrayBuffer)) {
      throw new SluiceError('MESSAGE_INVALID', 'The server sent a binary frame, which nobody asked for.')
    }
    if (!this.#codec) {
      this.#flush() // what waits is JSON still
      this.#codec = codec
    }
    return decodeBinaryFrame(new Uint8Array(frame), codec)
  }

  #closed(code: number, reason: string): void {
    const said = reason === '' ? `code ${code}` : `code ${code}, ${JSON.stringify(reason)}`
    const retry = retryOfCloseCode(code) !== 'never'
    const message = this.#open
      ? `The WebSocket was closed with ${said}.`
      : `The WebSocket could not be opened (${said}).`
    const data = { closeCode: code, reason }
    // A Sluice server gives the code of its error as the reason, and this is the only one for which it closes for good.
    const refused = code === 4401 && reason === 'CONTEXT_EXPIRED' ? reason : 'CONNECTION_REFUSED'
    this.#lose({ why: new SluiceError(retry ? 'CONNECTION_LOST' : refused, message, { data }), retry })
  }

  #ask(id: RequestId, method: OperationKind, asked: Asked): void {
    const { path, input } = asked
    const params = { ...asked, input: this.#codec ? input.own : input.serialized }
    this.#send({ id, method, params }, path)
  }

  #send(message: ClientMessage, path?: string): void {
    if (this.#over) return
    // Each by itself and now, so that a value that cannot be encoded costs its own request only.
    const frame = this.#codec ? this.#codec.formatFor(path).encode(message) : JSON.stringify(message)
    this.#outgoing.push({ id: message.id, method: message.method, frame })
    if (!this.#open || this.#flushing) return
    this.#flushing = true
    queueMicrotask(() => this.#flush())
  }

  #flush(): void {
    this.#flushing = false
    const messages = this.#outgoing
    if (!this.#open || this.#over || messages.length === 0) return
    this.#outgoing = []
    for (let from = 0; from < messages.length; from += maxBatchLength) {
      this.#socket?.send(join(messages.slice(from, from + maxBatchLength).map(message => message.frame)))
    }
  }

  #lose(loss: Loss, how?: { readonly dead: boolean }): void {
    if (this.#over) return
    this.#end(how)
    this.#reports.lost(loss)
  }

  #end({ dead } = { dead: false }): void {
    this.#over = true
    this.#open = false
    this.#connectTimer.cancel()
    this.#watchdog?.stop()
    const socket = this.#socket as (WebSocketLike & { terminate?(): void }) | null
    // To close is to wait for the peer's answer: `ws` would keep the process alive for 30 s to hear a dead one.
    if (dead && socket?.terminate) socket.terminate()
    else socket?.close()
  }
}

/** What the WebSocket of `ws` has beside a browser's. */
interface TellingSocket {
  on?(event: 'unexpected-response', listener: (request: unknown, response: RefusedUpgrade) => void): void
}

interface RefusedUpgrade {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string | undefined>>
}

interface Asked {
  readonly path: string
  readonly input: AskedInput
  readonly lastEventId?: string
  readonly again?: true
}

/** Several messages as one frame; all of a kind. */
function join(frames: readonly (string | Uint8Array)[]): string | Uint8Array<ArrayBuffer> {
  const binary = frames.filter(frame => typeof frame !== 'string')
  if (binary.length > 0) return concat(binary)
  return frames.length === 1 ? String(frames[0]) : `[${frames.join(',')}]`
}

/** Characters of text, or bytes. */
function sizeOf(frame: unknown): number {
  return typeof frame === 'string' ? frame.length : (frame as { readonly byteLength: number }).byteLength // as decoded
}
