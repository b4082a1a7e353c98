/**
 * Promise 7: bytes that lie about themselves: lengths that nothing can have, or two of them; chunks, extensions and
 * trailers without end; text that is no UTF-8. Each is refused, and counted where it came to us; neighbours notice
 * nothing, also those on the same connection where that goes on.
 */
import { describe, expect, test } from 'vitest'
import { eventually } from '../kit/deadline.ts'
import { framesIn, givenUp, http2Frame } from '../interop/support/raw-http2.ts'
import { endStream, kinds, openHttp2, requestFrame } from '../interop/support/raw-http2.ts'
import { RawTcp } from '../interop/support/raw-tcp.ts'
import { startWithNeighbours } from './support/neighbours.ts'

type App = Awaited<ReturnType<typeof startWithNeighbours>>

const start = () => startWithNeighbours({ allowMethodOverride: true, onError: () => {} })

/** An answer, whichever it is. */
const said = /"error"|serialized-error|"result"|connected\ndata: {}\n/

/** What takes a body. */
const paths = [
  ['a call', '/save'],
  ['a stream', '/quiet'],
  ['a stream of many', '/:stream?sluice=1'],
] as const

const tooMuch = 'x'.repeat(1.5 * 1024 * 1024)
const chunked = 'Transfer-Encoding: chunked'
const bodies = [
  ['of 2^53 bytes', 'Content-Length: 9007199254740992', tooMuch, 413, 'PAYLOAD_TOO_LARGE'],
  ['of 10^20 bytes', 'Content-Length: 100000000000000000000', '', 400, 'MESSAGE_INVALID'],
  ['of less than nothing', 'Content-Length: -1', '', 400, 'MESSAGE_INVALID'],
  ['of two lengths', 'Content-Length: 2\r\nContent-Length: 20', '', 400, 'MESSAGE_INVALID'],
  ['of a length and chunks', `Content-Length: 2\r\n${chunked}`, '0\r\n\r\n', 400, 'MESSAGE_INVALID'],
  ['in a chunk of 2^64 bytes', chunked, `FFFFFFFFFFFFFFFF\r\n${tooMuch}`, 413, 'PAYLOAD_TOO_LARGE'],
  ['in a chunk of more than that', chunked, '10000000000000000\r\n', 400, 'MESSAGE_INVALID'],
  ['in a chunk of less than nothing', chunked, '-1\r\n', 400, 'MESSAGE_INVALID'],
  ['with an extension without end', chunked, `1;${'x'.repeat(100_000)}`, 413, 'PAYLOAD_TOO_LARGE'],
  ['with trailers without end', chunked, `0\r\n${'a: b\r\n'.repeat(20_000)}`, 431, 'PAYLOAD_TOO_LARGE'],
] as const

describe.each(paths)('the body of %s', (_, path) => {
  test.each(bodies)('%s is refused', async (_what, head, body, status, code) => {
    await using app = await start()
    using tcp = await RawTcp.open(app.port)
    tcp.write(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${head}\r\n\r\n${body}`)
    // A stream that takes its input from a body has begun by then, and has the status in its error.
    const answer = new RegExp(`^HTTP/1.1 ${status} |"httpStatus":${status}`)
    await eventually(() => answer.test(tcp.received.toString()))
    await eventually(() => app.refusals()[code])
    tcp.cut()
    await app.calm()
  })

  test.each([
    ['of 2^53 bytes', ['9007199254740992']],
    ['of 10^20 bytes', ['100000000000000000000']],
    ['of less than nothing', ['-1']],
    ['of two lengths', ['2', '20']],
  ])('%s by HTTP/2 ends its stream, and no other of its connection', async (_what, lengths) => {
    await using app = await start()
    const { port } = await app.http2()
    using tcp = await openHttp2(port)
    tcp.write(requestFrame({ stream: 1, path: '/numbers' }))
    const told = lengths.map(length => ['content-length', length] as const)
    const headers = [['content-type', 'application/json'] as const, ...told]
    tcp.write(requestFrame({ stream: 3, path, method: 'POST', headers }))
    tcp.write(http2Frame({ kind: kinds.data, flags: endStream, stream: 3, payload: Buffer.from('{}') }))
    await eventually(() => givenUp(tcp, 'rstStream') !== null)
    const events = () => framesIn(tcp).filter(({ kind, stream }) => kind === kinds.data && stream === 1)
    const before = events().length
    await eventually(() => events().length > before + 3)
    expect(givenUp(tcp, 'goaway')).toBeNull()
    tcp.cut()
    await app.calm()
  })
})

describe('text that is no UTF-8', () => {
  const bad = Uint8Array.of(0xc3, 0x28)
  /** Where there may be any text. */
  const within = (path: string) => {
    const input = path === '/save' || path === '/quiet' ? '"here"' : '{"subscriptions":[{"id":"here"}]}'
    const [before = '', after = ''] = input.split('here')
    return Buffer.concat([Buffer.from(before), bad, Buffer.from(after)])
  }

  const ways: Record<string, (app: App, path: string, body: Uint8Array<ArrayBuffer>) => Promise<string>> = {
    async 'HTTP/1.1'({ port }, path, body) {
      using tcp = await RawTcp.open(port)
      const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json`
      tcp.write(`${head}\r\nContent-Length: ${body.length}\r\n\r\n`)
      tcp.write(body)
      await eventually(() => said.test(tcp.received.toString()))
      return tcp.received.toString()
    },
    async 'HTTP/2'(app, path, body) {
      const { client } = await app.http2()
      return await client.begin(path, body, said)
    },
    async fetch(app, path, body) {
      const init = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
      const response = await app.sluice.fetch(new Request(`${app.url}${path}`, init))
      let text = ''
      for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += chunk
        if (said.test(text)) break
      }
      return text
    },
  }

  describe.each(Object.entries(ways))('by %s', (_way, send) => {
    test.each(paths)(
      'in the body of %s is no JSON, or in a string a character like others',
      async (_, path) => {
        await using app = await start()
        expect(await send(app, path, bad)).toMatch(/"error"|serialized-error/)
        expect(await send(app, path, within(path))).toMatch(said)
        await app.calm()
      },
    )
  })
})

test.each([
  [
    'a length with its top bit set',
    [0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
    1009,
    'PAYLOAD_TOO_LARGE',
  ],
  ['a length of 2^53', [0x82, 0xff, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1009, 'PAYLOAD_TOO_LARGE'],
  ['a ping of 64 KiB', [0x89, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], 1002, 'MESSAGE_INVALID'],
])('a frame with %s closes its connection, and no other', async (_, bytes, close, code) => {
  await using app = await start()
  using tcp = await RawTcp.upgrade(app.port)
  tcp.write(Uint8Array.from(bytes))
  await tcp.untilClosedWith(close)
  expect(app.refusals()).toEqual({ [code]: 1 })
})
