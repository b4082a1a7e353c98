/** HTTP/2 frames that are made by hand (RFC 9113), for peers that keep to no protocol: `node:http2` would not send them. */
import { RawTcp } from './raw-tcp.ts'

export const kinds = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
}
export const endStream = 0x1
const endHeaders = 0x4

interface Http2Frame {
  readonly kind: number
  readonly flags?: number
  /** Of the stream; 0 means the connection. */
  readonly stream?: number
  readonly payload?: Uint8Array
}

export function http2Frame({ kind, flags = 0, stream = 0, payload = new Uint8Array(0) }: Http2Frame): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.byteLength, 0, 3)
  head[3] = kind
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** What a client says first: that it speaks HTTP/2, and that it wants nothing special. */
export const preface = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  http2Frame({ kind: kinds.settings }),
])

/** A number as it is to be sent, of so many bytes. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

type Fields = readonly (readonly [name: string, value: string])[]

/** The fields of a request's head (RFC 7541), each as a literal: none is longer than 126 bytes. */
export function fields(method: 'GET' | 'POST', path: string, more: Fields = []): Buffer {
  // Those in front of a value are places in the static table: of the method, of the scheme `http`, and of two names.
  const start = [method === 'GET' ? 0x82 : 0x83, 0x86, 0x04, ...text(path), 0x01, ...text('localhost')]
  return Buffer.from([...start, ...more.flatMap(([name, value]) => [0, ...text(name), ...text(value)])])
}

const text = (value: string) => [value.length, ...Buffer.from(value)]

export interface Http2Request {
  readonly stream: number
  readonly path: string
  readonly method?: 'GET' | 'POST'
  readonly headers?: Fields
}

/** A request without a body, or, of a POST, one of which the body has yet to come. */
export function requestFrame({ stream, path, method = 'GET', headers }: Http2Request): Buffer {
  const flags = method === 'GET' ? endHeaders | endStream : endHeaders
  return http2Frame({ kind: kinds.headers, flags, stream, payload: fields(method, path, headers) })
}

/** On a connection of TCP alone, without a handshake. */
export async function openHttp2(port: number): Promise<RawTcp> {
  const raw = await RawTcp.open(port)
  raw.write(preface)
  return raw
}

/** The whole frames among what was received. */
export function framesIn({ received }: RawTcp): Required<Http2Frame>[] {
  const frames: Required<Http2Frame>[] = []
  for (let at = 0; at + 9 <= received.length;) {
    const end = at + 9 + received.readUIntBE(at, 3)
    if (end > received.length) break
    const [kind = 0, flags = 0] = received.subarray(at + 3)
    frames.push({
      kind,
      flags,
      stream: received.readUInt32BE(at + 5),
      payload: received.subarray(at + 9, end),
    })
    at = end
  }
  return frames
}

/** The error code with which the server has given a connection up, or a stream; null if it has not. */
export function givenUp(raw: RawTcp, kind: 'goaway' | 'rstStream'): number | null {
  const frame = framesIn(raw).find(one => one.kind === kinds[kind])
  return frame ? Buffer.from(frame.payload).readUInt32BE(kind === 'goaway' ? 4 : 0) : null
}
