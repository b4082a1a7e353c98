/** TLS on a TCP connection that can be cut at any moment, for a peer that does not care whom it speaks to. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { connect as connectTls, type TLSSocket } from 'node:tls'

const stranger = { rejectUnauthorized: false, ALPNProtocols: ['h2'] }

export class RawTls {
  readonly #tcp: Socket
  readonly #tls: TLSSocket

  private constructor(tcp: Socket) {
    this.#tcp = tcp
    // Beside the socket and not on it: Node would let go of one that is reset under TLS, and not reset it.
    const between = new Duplex({
      read() {},
      write: (chunk, _encoding, done) => void tcp.write(chunk, () => done()),
    })
    tcp.on('data', chunk => between.push(chunk))
    this.#tls = connectTls({ ...stranger, socket: between })
    for (const socket of [tcp, this.#tls]) socket.on('error', () => {}) // cut
  }

  /** Settles when the handshake is done. */
  static async open(port: number): Promise<RawTls> {
    const raw = new RawTls(connect(port, '127.0.0.1'))
    await once(raw.#tls, 'secureConnect')
    return raw
  }

  /** Settles when the bytes are on their way. */
  async write(bytes: Uint8Array): Promise<void> {
    await new Promise(resolve => this.#tls.write(bytes, resolve))
  }

  /** A reset, as from a crash. */
  cut(): void {
    this.#tcp.resetAndDestroy()
    this.#tls.destroy()
  }
}

/** The bytes with which a handshake begins. */
export async function helloOfTls(): Promise<Buffer> {
  return await new Promise(resolve => {
    const socket = new Duplex({ read() {}, write: (chunk: Buffer) => resolve(chunk) })
    connectTls({ ...stranger, socket })
  })
}
