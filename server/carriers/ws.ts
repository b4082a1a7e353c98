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
import { byteLengthOf, join } from '../session/wire.ts'
import type { DuplexWire, Frame, Packing } from '../session/wire.ts'

/** @param tcp the socket below, on which the upgrade came. */
export function toWire(socket: WebSocket, tcp: Duplex): DuplexWire {
  // Frames of ours are not compressed. That is legal, but not what was negotiated.
  const compressed = socket.extensions.includes('permessage-deflate')
  return {
    packing: compressed ? whole : framed,
    write(packed, gone) {
      // `ws` would count a frame for a closing socket as buffered for ever.
      if (socket.readyState !== socket.OPEN) return gone?.()
      if (!compressed) tcp.write(join(packed), gone && (() => gone()))
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
const whole: Packing = { joins: false, pack: frame => frame }

/** The frame as it goes over the network: final, unmasked, text or binary (RFC 6455 5.2). */
const framed: Packing = { joins: true, pack: toFrame }

const finalText = 0x81
const finalBinary = 0x82

function toFrame(frame: Frame): Buffer {
  const length = byteLengthOf(frame)
  const headLength = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const bytes = Buffer.allocUnsafe(headLength + length)
  bytes[0] = typeof frame === 'string' ? finalText : finalBinary
  if (headLength === 2) bytes[1] = length
  else if (headLength === 4) {
    bytes[1] = 126
    bytes.writeUInt16BE(length, 2)
  } else {
    bytes[1] = 127
    bytes.writeBigUInt64BE(BigInt(length), 2)
  }
  if (typeof frame === 'string') bytes.write(frame, headLength)
  else bytes.set(frame, headLength)
  return bytes
}
