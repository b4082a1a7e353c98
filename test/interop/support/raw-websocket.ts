/** A WebSocket client that knows nothing of tRPC: it sends text and keeps every frame as it came. */
import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import { eventually } from '../../kit/deadline.ts'

export class RawWebSocket implements AsyncDisposable {
  /** Every frame received, in order; binary ones as `binary:<hex>`. */
  readonly frames: string[] = []
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
  readonly #socket: WebSocket

  private constructor(socket: WebSocket) {
    this.#socket = socket
    // From the first byte: nothing slips by between opening and the first look.
    socket.on('message', (data: Buffer, binary) => {
      this.frames.push(binary ? `binary:${data.toString('hex')}` : data.toString())
    })
    socket.on('error', () => {}) // a connection that is cut; `closed` tells of it
    this.closed = new Promise(resolve => {
      socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }))
    })
  }

  /** @throws Error with the HTTP status when the upgrade is refused. */
  static open(url: string, headers: Record<string, string> = {}): Promise<RawWebSocket> {
    const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers })
    const raw = new RawWebSocket(socket)
    return new Promise((resolve, reject) => {
      socket.once('open', () => resolve(raw))
      socket.once('unexpected-response', (_request, response) => {
        response.resume()
        reject(new Error(`refused with ${response.statusCode}`))
      })
      socket.once('error', reject)
    })
  }

  /** Sends text or bytes as they are, anything else as JSON. */
  send(message: string | Uint8Array | object): void {
    const asIs = typeof message === 'string' || message instanceof Uint8Array
    this.#socket.send(asIs ? message : JSON.stringify(message))
  }

  subscribe(id: number | string, path: string, input?: unknown, more: object = {}): void {
    this.send({ id, method: 'subscription', params: { path, input, ...more } })
  }

  /** Waits until so many frames have come. */
  async count(frames: number): Promise<readonly string[]> {
    await eventually(() => this.frames.length >= frames, {
      what: () => `${frames} frames; there are ${this.frames.length}: ${this.frames.join(' ')}`,
    })
    return this.frames
  }

  /** Waits for a frame with this text in it. */
  async until(text: string): Promise<void> {
    await eventually(() => this.frames.some(frame => frame.includes(text)), {
      what: () => `a frame with ${text}; there are: ${this.frames.join(' ')}`,
    })
  }

  /** Settles when the server has handled all that was sent before, and its answers are here. */
  async settled(): Promise<void> {
    const pongs = () => this.frames.filter(frame => frame === 'PONG').length
    const before = pongs()
    this.send('PING')
    await eventually(() => pongs() > before, { what: 'a PONG' })
    this.frames.splice(this.frames.lastIndexOf('PONG'), 1)
  }

  /** Stops reading: the server's buffers fill. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** A polite end. */
  async close(): Promise<void> {
    this.#socket.close()
    await this.closed
  }

  /** A reset, as from a crash. */
  async cut(): Promise<void> {
    const { _socket } = this.#socket as unknown as { _socket: Socket } // ws has no public word for a RST
    _socket.resetAndDestroy()
    await this.closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.terminate()
    if (this.#socket.readyState !== WebSocket.CLOSED) await this.closed
  }
}
