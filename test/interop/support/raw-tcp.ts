/** A TCP connection on which every byte is ours to choose, for peers that keep to no protocol. */
import { connect, type Socket } from 'node:net'
import { eventually } from '../../kit/deadline.ts'

export class RawTcp implements Disposable {
  /** Of the response to an upgrade. */
  head = ''
  readonly closed: Promise<void>
  readonly #socket: Socket
  /** What has been received, joined when somebody looks: there may be much of it. */
  #received: Buffer[] = []

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#received.push(chunk))
    socket.on('error', () => {}) // cut, which `closed` tells of
    this.closed = new Promise(resolve => socket.once('close', () => resolve()))
  }

  /** @param options with `allowHalfOpen`, it does not leave when the server does. */
  static async open(port: number, options: { readonly allowHalfOpen?: boolean } = {}): Promise<RawTcp> {
    // Without a delay: what is written in pieces is to travel in pieces.
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, ...options })
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

  get received(): Buffer {
    if (this.#received.length !== 1) this.#received = [Buffer.concat(this.#received)]
    return this.#received[0] ?? Buffer.alloc(0)
  }

  set received(bytes: Buffer) {
    this.#received = [bytes]
  }

  write(bytes: string | Uint8Array): void {
    this.#socket.write(bytes)
  }

  async until(bytes: string | Uint8Array): Promise<void> {
    const wanted = Buffer.from(bytes)
    await eventually(() => this.received.includes(wanted), {
      what: () => `${wanted.toString('latin1')} in ${this.received.toString('latin1')}`,
    })
  }

  /** Stops reading: the server's buffers fill. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
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

/** A client's frame; by default masked with zeros. */
export function frame(
  firstByte: number,
  payload: string | Uint8Array = '',
  mask: Uint8Array = new Uint8Array(4),
): Buffer {
  const bytes = Buffer.from(payload)
  for (const [at, byte] of bytes.entries()) bytes[at] = byte ^ (mask[at % 4] ?? 0)
  if (bytes.length < 126) return Buffer.concat([Buffer.from([firstByte, 0x80 | bytes.length]), mask, bytes])
  const head = Buffer.alloc(10)
  head.writeUInt16BE((firstByte << 8) | 0x80 | 127)
  head.writeBigUInt64BE(BigInt(bytes.length), 2)
  return Buffer.concat([head, mask, bytes])
}

/** The frames of a server that have come as a whole. */
export function framesIn(bytes: Buffer): { readonly firstByte: number; readonly payload: Buffer }[] {
  const frames = []
  for (let at = 0; at + 2 <= bytes.length;) {
    const [firstByte = 0, short = 0] = bytes.subarray(at)
    const head = short < 126 ? 2 : short === 126 ? 4 : 10
    if (at + head > bytes.length) break
    const length =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2))
    if (at + head + length > bytes.length) break
    frames.push({ firstByte, payload: bytes.subarray(at + head, at + head + length) })
    at += head + length
  }
  return frames
}
