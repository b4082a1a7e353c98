/** A WebSocket of `ws` that also writes down what passes: the kind of each frame, and its length. */
import { WebSocket } from 'ws'

export interface Passed {
  readonly from: 'client' | 'server'
  readonly kind: 'text' | 'binary'
  readonly bytes: number
}

/** A class to be handed to `sluiceLink`, and all that passes through its sockets, heartbeats left out. */
export function tapWebSocket() {
  const passed: Passed[] = []
  const note = (from: Passed['from'], kind: Passed['kind'], frame: string | Uint8Array) => {
    if (frame === 'PING' || frame === 'PONG') return
    passed.push({ from, kind, bytes: Buffer.byteLength(frame) })
  }
  class TappedWebSocket extends WebSocket {
    constructor(url: string) {
      super(url)
      this.on('message', (data: Buffer | ArrayBuffer, binary) => {
        const bytes = Buffer.from(data as ArrayBuffer) // of either kind it makes a Buffer
        note('server', binary ? 'binary' : 'text', binary ? bytes : bytes.toString())
      })
    }

    override send(frame: string | Uint8Array): void {
      note('client', typeof frame === 'string' ? 'text' : 'binary', frame)
      super.send(frame)
    }
  }
  const kindsFrom = (from: Passed['from']) => [
    ...new Set(passed.filter(frame => frame.from === from).map(frame => frame.kind)),
  ]
  return { WebSocket: TappedWebSocket, passed, kindsFrom }
}
