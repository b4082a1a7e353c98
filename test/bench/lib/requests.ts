/** HTTP requests and WebSocket frames, as load clients send them. */
import type { Exchange } from './peer.ts'

interface RequestOptions {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string
}

export function httpRequest(
  path: string,
  { method = 'GET', headers = {}, body = '' }: RequestOptions = {},
): string {
  const all = { Host: 'localhost', ...headers, ...(body && { 'Content-Length': String(body.length) }) }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  return [`${method} ${path} HTTP/1.1`, ...lines, '', body].join('\r\n')
}

export function webSocketRequest(path = '/', headers: Record<string, string> = {}): Exchange {
  const upgrade = {
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }
  return { say: httpRequest(path, { headers: { ...upgrade, ...headers } }), hear: '\r\n\r\n' }
}

/** A client's frame: masked with zeros, which leave the payload as it is (RFC 6455 5.3). At most 64 KiB. */
export function clientFrame(text: string): Buffer {
  const payload = Buffer.from(text)
  const length = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 255]
  const [first = 0, ...more] = length
  return Buffer.concat([Buffer.from([0x81, 0x80 | first, ...more, 0, 0, 0, 0]), payload])
}

/** Close, 1000, masked. */
export const closeFrame = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8])

/** A server's frame. */
export function serverFrame(text: string): Buffer {
  const payload = Buffer.from(text)
  const { length } = payload
  const head =
    length < 126
      ? [length]
      : length < 65536
        ? [126, length >> 8, length & 255]
        : [127, 0, 0, 0, 0, ...uint32(length)]
  return Buffer.concat([Buffer.from([0x81, ...head]), payload])
}

const uint32 = (value: number) => [24, 16, 8, 0].map(shift => (value >>> shift) & 255)
