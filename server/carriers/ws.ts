/** A WebSocket of `ws` as a `Wire`. Knows nothing of the messages that pass. */
import type { WebSocket } from 'ws'
import type { DuplexWire } from '../session/wire.ts'

export function toWire(socket: WebSocket): DuplexWire {
  return {
    send(frame, gone) {
      // `ws` would count a frame for a closing socket as buffered for ever.
      if (socket.readyState !== socket.OPEN) return gone?.()
      socket.send(frame, gone)
    },
    get bufferedBytes() {
      return socket.bufferedAmount
    },
    listen(listener) {
      return new Promise(resolve => {
        socket.on('message', (data, binary) => listener.frame(data, binary))
        // Without a listener, a frame that breaks RFC 6455 would end the process.
        socket.on('error', error => listener.failed(error))
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
