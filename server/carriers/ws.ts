/**
 * A WebSocket of `ws` as a `Wire`. Knows nothing of the messages that pass.
 *
 * Outgoing frames are made here and written to the socket beside `ws`, which goes on reading, and does the pings and
 * the closing: so a frame is made once for all who get it, and a turn's frames go out in one write. (1,000
 * subscribers, one event: `ws.send` 15 µs of CPU each, a ready frame 9; Node 20.) Its own frames and ours do not mix
 * within a frame, for each is handed to the socket whole.
 */
import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import type { SluiceErrorCode } from '../../shared/errors.ts'
import { join } from '../session/wire.ts'
import type { DuplexWire, Packed, Packing, WireListener } from '../session/wire.ts'
import { takenBytes } from './taken-bytes.ts'

export class WebSocketWire implements DuplexWire {
  readonly #socket: WebSocket
  readonly #tcp: Duplex
  readonly #framed: Packing | null

  /**
   * @param tcp the socket below, on which the upgrade came.
   * @param framed how frames are made; null leaves that to `ws`.
   */
  constructor(socket: WebSocket, tcp: Duplex, framed: Packing | null) {
    this.#socket = socket
    this.#tcp = tcp
    this.#framed = framed
  }

  get packing(): Packing {
    return this.#framed ?? whole
  }

  write(packed: readonly Packed[], gone?: () => void): void {
    const socket = this.#socket
    // `ws` would count a frame for a closing socket as buffered for ever.
    if (socket.readyState !== socket.OPEN) return gone?.()
    if (this.#framed) this.#tcp.write(join(packed), gone && (() => gone()))
    else packed.forEach((frame, i) => socket.send(frame, i === packed.length - 1 ? gone : undefined))
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount
  }

  get takenBytes(): number {
    return takenBytes(this.#tcp)
  }

  listen(listener: WireListener): void {
    const socket: Heard = this.#socket
    socket[heardBy] = listener
    if (socket instanceof OwnWebSocket) return
    for (const [event, tell] of tellers) socket.on(event, tell)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  pong(ping: Uint8Array, gone: () => void): void {
    const socket = this.#socket
    // As above.
    if (socket.readyState !== socket.OPEN) return gone()
    socket.pong(ping, false, () => gone())
  }

  close(code?: number, reason?: string): void {
    this.#socket.close(code, reason)
  }

  terminate(): void {
    this.#socket.terminate()
  }
}

/** What the listeners below find on their socket: they are the same for all (else 600 B a connection; Node 20). */
const heardBy = Symbol('heardBy')

type Heard = WebSocket & { [heardBy]?: WireListener }

/**
 * What `ws` makes of the upgrades that are ours: it tells its listener without a table of listeners (290 B a connection;
 * Node 20). Whoever listens beside it, an application's `createContext` say, is told as ever.
 */
export class OwnWebSocket extends WebSocket {
  [heardBy]?: WireListener

  override emit(event: string, ...args: unknown[]): boolean {
    const tell = this[heardBy] && tellers.get(event)
    tell?.call(this, args[0], args[1])
    // Nobody else may listen: an error would be thrown then, which is ours.
    if (tell && this.listenerCount(event) === 0) return true
    return super.emit(event, ...args)
  }
}

function onMessage(this: Heard, data: unknown, binary: unknown): void {
  this[heardBy]?.frame(data, binary === true)
}

function onError(this: Heard, thrown: unknown): void {
  const error = thrown as Error // as `ws` has it
  this[heardBy]?.failed(error, codeOf(error))
}

/** Another's socket has been answered for by `ws`. */
function onPing(this: Heard, ping: unknown): void {
  this[heardBy]?.control(this instanceof OwnWebSocket ? (ping as Uint8Array) : null)
}

function onPong(this: Heard): void {
  this[heardBy]?.control(null)
}

function onClose(this: Heard): void {
  this[heardBy]?.closed()
}

/** The same functions for all sockets, by what `ws` says with its two arguments. */
const tellers = new Map<string, (this: Heard, first: unknown, second: unknown) => void>([
  ['message', onMessage],
  // Without a listener, a frame that breaks RFC 6455 would end the process.
  ['error', onError],
  ['ping', onPing],
  ['pong', onPong],
  ['close', onClose],
])

/** What `ws` says of a frame that it refuses. */
function codeOf(error: Error & { readonly code?: string }): SluiceErrorCode {
  return error.code !== undefined && tooMuch.has(error.code) ? 'PAYLOAD_TOO_LARGE' : 'MESSAGE_INVALID'
}

const tooMuch = new Set([
  'WS_ERR_TOO_MANY_BUFFERED_PARTS',
  'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
  'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
])

/** `ws` makes the frame. */
const whole: Packing = { pack: frame => frame, packAll: frames => frames }
