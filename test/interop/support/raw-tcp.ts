/** A TCP connection on which every byte is ours to choose, for peers that keep to no protocol. */
import { connect, type Socket } from 'node:net'
import { eventually } from '../../kit/deadline.ts'

export class RawTcp implements Disposable {
  received = Buffer.alloc(0)
  /** Of the response to an upgrade. */
  head = ''
  readonly closed: Promise<void>
  readonly #socket: Socket

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => (this.received = Buffer.concat([this.received, chunk])))
    socket.on('error', () => {}) // cut, which `closed` tells of
    this.closed = new Promise(resolve => socket.once('close', () => resolve()))
  }

  /** @param options with `allowHalfOpen`, it does not leave when the server does. */
  static async open(port: number, options: { readonly allowHalfOpen?: boolean } = {}): Promise<RawTcp> {
    const socket = connect({ port, host: '127.0.0.1', ...options })
    const raw = new RawTcp(socket)
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return raw
  }

  /** With the WebSocket handshake done. */
  static async upgrade(port: number, path = '/', ...headers: string[]): Promise<RawTcp> {
    const raw = await RawTcp.open(port)
    raw.write(upgradeHead(path, ...headers))
    await raw.until('\r\n\r\n')
    raw.head = raw.received.toString('latin1')
    raw.received = Buffer.alloc(0)
    return raw
  }

  write(bytes: string | Uint8Array): void {
    this.#socket.write(bytes)
  }

  /** Stops reading: the server's buffers fill. */
  pause(): void {
    this.#socket.pause()
  }

  async until(bytes: string | Uint8Array): Promise<void> {
    const wanted = Buffer.from(bytes)
    await eventually(() => this.received.includes(wanted), {
      what: () => `${wanted.toString('latin1')} in ${this.received.toString('latin1')}`,
    })
  }

  /** Waits for a close frame with this code. */
  async untilClosedWith(code: number): Promise<void> {
    // In what the server sends, nothing is masked: the code follows the two bytes of the head.
    const at = () => this.received.indexOf(Buffer.from([code >> 8, code & 0xff]))
    await eventually(() => at() >= 2 && this.received[at() - 2] === 0x88, {
      what: () => `a close frame of ${code} in ${this.received.toString('hex')}`,
    })
  }

  /** A reset, as from a crash. */
  cut(): void {
    this.#socket.resetAndDestroy()
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}

export function upgradeHead(path = '/', ...headers: string[]): string {
  return [
    `GET ${path} HTTP/1.1`,
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
    '',
    '',
  ].join('\r\n')
}

/** A client's frame, masked with zeros. */
export function frame(firstByte: number, payload: string | Uint8Array = ''): Buffer {
  const bytes = Buffer.from(payload)
  const mask = Buffer.alloc(4)
  if (bytes.length < 126) return Buffer.concat([Buffer.from([firstByte, 0x80 | bytes.length]), mask, bytes])
  const head = Buffer.alloc(10)
  head.writeUInt16BE((firstByte << 8) | 0x80 | 127)
  head.writeBigUInt64BE(BigInt(bytes.length), 2)
  return Buffer.concat([head, mask, bytes])
}
