/** One WebSocket, from the attempt to open it to its loss. */
import { isSluiceError, isFinalCloseCode, SluiceError, toError } from '../../shared/errors.ts'
import { ping, pong, type ClientMessage, type RequestId } from '../../shared/protocol/messages.ts'
import type { ConnectionParams, ResolvedOptions, WebSocketLike } from '../options.ts'
import { binaryFrame, decodeBinaryFrame, decodeFrame, invalid } from './decode.ts'
import { toLoss } from './transport.ts'
import type {
  AskedRequest,
  AskedSubscription,
  Loss,
  Received,
  Transport,
  TransportReports,
} from './transport.ts'
import { toWebSocketUrl } from './url.ts'
import type { RefusedUpgrade } from './refused-upgrade.ts'
import { createWatchdog, type Watchdog } from './watchdog.ts'

/** Messages in one frame. A server may refuse more than 1,000: who resumes that many sends several frames. */
const maxBatchLength = 500

/** How long the server is given for its first word: an answer to what was asked for on opening takes less, as a rule. */
const maxFirstWordMs = 1_000

/** Begins to connect at once. */
export function openWebSocket(options: ResolvedOptions, reports: TransportReports): Transport {
  const { clock, codec, connectionParams, connectTimeoutMs, heartbeatTimeoutMs, onError } = options
  let socket: OurSocket | null = null
  let open = false
  /** Lost or closed: whatever still comes from the socket is let pass. */
  let over = false
  let watchdog: Watchdog | null = null
  let heard = false
  /** Whether messages go in binary: once a binary frame of the server's has said that it understands. */
  let binary = false
  /**
   * Sent together, in one frame, at the end of the turn in which the first of them was asked for: as JSON, or as the
   * codec has written them. By its id what asks for a subscription, which may be taken back before it is sent.
   */
  const outgoing = new Map<RequestId | ClientMessage, string | Uint8Array>()

  const connectTimer = clock.after(connectTimeoutMs, () => {
    const why = new SluiceError(
      'CONNECTION_LOST',
      `The WebSocket did not open within ${connectTimeoutMs} ms.`,
    )
    end({ why })
  })

  const connect = async () => {
    const { url, WebSocket } = options
    if (!WebSocket) {
      throw new SluiceError(
        'TRANSPORT_UNAVAILABLE',
        'There is no WebSocket here. Pass one to sluiceLink({ WebSocket }).',
      )
    }
    // The params come first: a server allows a silent socket only so much time.
    const [address, params] = await Promise.all([url(), connectionParams?.() ?? null])
    if (over) return
    const opening: OurSocket = new WebSocket(toWebSocketUrl(address, connectionParams !== null, codec?.name))
    socket = opening
    opening.binaryType = 'arraybuffer'
    opening.addEventListener('open', () => {
      if (over) return
      open = true
      connectTimer.cancel()
      if (connectionParams) hello(params)
      // Some middle boxes open a WebSocket and then let nothing through. The answer to what is asked for now tells; only
      // where none comes, a ping does. (A ping for each opening: 70 µs of 700 for a reconnect; Node 20.)
      watchdog = createWatchdog({
        ...options,
        firstWordMs: Math.min(maxFirstWordMs, heartbeatTimeoutMs / 2),
        ask: () => opening.send(ping),
        onSilent: silent,
      })
      reports.opened()
      flush()
    })
    opening.addEventListener('message', received)
    opening.addEventListener('close', closed)
    // A close event follows each error and says more. The listener stays for good: an `error` without one would
    // end a Node process, and closing a socket that is still opening makes one.
    opening.addEventListener('error', () => {})
    // Only `ws` tells what an upgrade was refused with. Who listens for that has to end the attempt; where the code for
    // it does not come, the connect timer does.
    opening.on?.('unexpected-response', (_, response) => {
      import('./refused-upgrade.ts').then(
        ({ refusedUpgrade }) => end(refusedUpgrade(response, clock)),
        onError,
      )
    })
  }

  const received = ({ data: frame }: { readonly data: unknown }) => {
    if (over) return
    watchdog?.heard()
    if (!heard) {
      heard = true
      reports.heard()
    }
    if (frame === pong) return
    if (frame === ping) return socket?.send(pong)
    let messages
    try {
      messages = decode(frame)
    } catch (thrown) {
      const error = toError(thrown)
      onError(error)
      return end(toLoss(error, 'A message could not be read'))
    }
    for (const message of messages) {
      // What a message sets off may close this very transport.
      if (over) return
      if (message.type === 'renew') void renew() // never rejects
      else reports.received(message)
    }
  }

  /** Says anew who we are. Without params it is the upgrade's headers that say so, which takes another connection. */
  const renew = async () => {
    if (!connectionParams) return reports.received({ type: 'reconnect' })
    try {
      hello(await connectionParams())
    } catch (thrown) {
      onError(toError(thrown)) // the application's own; what we said before holds until it runs out
    }
  }

  const hello = (data: ConnectionParams) => {
    if (open) socket?.send(JSON.stringify({ method: 'connectionParams', data }))
  }

  const decode = (frame: unknown): Received[] => {
    if (typeof frame === 'string') return decodeFrame(frame, options.transformer.output)
    if (!codec || !(frame instanceof ArrayBuffer)) throw invalid(binaryFrame) // nobody has asked for one
    if (!binary) flush() // what waits is JSON still
    binary = true
    return decodeBinaryFrame(new Uint8Array(frame), codec)
  }

  const closed = ({ code, reason }: { readonly code: number; readonly reason: string }) => {
    const what = open ? 'was closed with' : 'could not be opened:'
    const message = `The WebSocket ${what} code ${code}${reason && `, ${JSON.stringify(reason)}`}.`
    const final = isFinalCloseCode(code)
    // A Sluice server gives the code of its error as the reason, and this is the only one for which it closes for good.
    const refused = reason === 'CONTEXT_EXPIRED' ? reason : 'CONNECTION_REFUSED'
    const why = new SluiceError(final ? refused : 'CONNECTION_LOST', message, {
      data: { closeCode: code, reason },
    })
    end({ why, final })
  }

  const ask = ({ id, kind: method, path, input, wish, flow }: AskedRequest | AskedSubscription) => {
    const params = { path, input: input(binary), ...wish(), ...(flow && { credit: flow.credit }) }
    send({ id, method, params }, path)
  }

  const send = (message: ClientMessage, path?: string) => {
    if (over) return
    // Each by itself and now, so that a value that cannot be encoded costs its own request only.
    const frame = binary && codec ? codec.formatFor(path).encode(message) : JSON.stringify(message)
    outgoing.set(message.method === 'subscription' ? message.id : message, frame)
    if (outgoing.size === 1) queueMicrotask(flush)
  }

  const flush = () => {
    if (!open) return
    const frames = [...outgoing.values()]
    outgoing.clear()
    for (let from = 0; from < frames.length; from += maxBatchLength) {
      socket?.send(join(frames.slice(from, from + maxBatchLength)))
    }
  }

  /** Several messages as one frame; all of a kind. */
  const join = (frames: readonly (string | Uint8Array)[]) => {
    if (binary && codec) return codec.join(frames as readonly Uint8Array[])
    return frames.length === 1 ? (frames[0] as string) : `[${frames.join(',')}]`
  }

  const silent = (atOnce = false) => {
    // To close is to wait for the peer's answer: `ws` would keep the process alive for 30 s to hear a dead one.
    socket?.terminate?.()
    const why = new SluiceError('SILENT_PEER', 'The server did not answer a ping.')
    end({ why, atOnce })
  }

  /** @param loss null: it is closed by whoever had it opened. */
  const end = (loss: Loss | null) => {
    if (over) return
    over = true
    open = false
    connectTimer.cancel()
    watchdog?.stop()
    socket?.close()
    if (loss) reports.lost(loss)
  }

  connect().catch((thrown: unknown) => {
    if (!over && !isSluiceError(thrown)) onError(toError(thrown))
    end(toLoss(thrown, 'The WebSocket could not be opened'))
  })

  return {
    kind: 'websocket',
    request: ask,
    subscribe: ask,
    grant: (id, events) => send({ id, method: 'subscription.credit', params: { events } }),
    unsubscribe(id) {
      if (!outgoing.delete(id)) send({ id, method: 'subscription.stop' })
    },
    probe: (_, withinMs) => watchdog?.probe(withinMs, () => silent(true)),
    close: () => end(null),
  }
}

/** What the WebSocket of `ws` has beside a browser's. */
interface OurSocket extends WebSocketLike {
  on?(event: 'unexpected-response', listener: (request: unknown, response: RefusedUpgrade) => void): void
  terminate?(): void
}
