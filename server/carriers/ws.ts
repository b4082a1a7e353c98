/**
 * A WebSocket of `ws` as a `Wire`. Knows nothing of the messages that pass.
 *
 * Outgoing frames are made here and written to the socket beside `ws`, which goes on reading, and does the pings and
 * the closing: so a frame is made once for all who get it, and a turn's frames go out in one write. (1,000
 * subscribers, one event: `ws.send` 15 µs of CPU each, a ready frame 9; Node 20.) Its own frames and ours do not mix
 * within a frame, for each is handed to the socket whole.
 */
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { SluiceErrorCode } from '../../shared/errors.ts'
import { join } from '../session/wire.ts'
import type { DuplexWire, Packing } from '../session/wire.ts'

/**
 * @param tcp the socket below, on which the upgrade came.
 * @param framed how frames are made; null leaves that to `ws`.
 */
export function toWire(socket: WebSocket, tcp: Duplex, framed: Packing | null): DuplexWire {
  return {
    packing: framed ?? whole,
    write(packed, gone) {
      // `ws` would count a frame for a closing socket as buffered for ever.
      if (socket.readyState !== socket.OPEN) return gone?.()
      if (framed) tcp.write(join(packed), gone && (() => gone()))
      else packed.forEach((frame, i) => socket.send(frame, i === packed.length - 1 ? gone : undefined))
    },
    get bufferedBytes() {
      return socket.bufferedAmount
    },
    listen(listener) {
      return new Promise(resolve => {
        socket.on('message', (data, binary) => listener.frame(data, binary))
        // Without a listener, a frame that breaks RFC 6455 would end the process.
        socket.on('error', error => listener.failed(error, codeOf(error)))
        socket.on('ping', () => listener.control())
        socket.on('pong', () => listener.control())
        socket.once('close', () => resolve())
      })
    },
    pause() {
      socket.pause()
    },
    resume() {
      socket.resume()
    },
    close(code, reason) {
      socket.close(code, reason)
    },
    terminate() {
      socket.terminate()
    },
  }
}

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
