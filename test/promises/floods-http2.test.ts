/**
 * Promise 7: what can be sent without end over HTTP/2. Most of it is Node's own to bound: it gives the connection up. Then
 * all that was on it has ended and no memory is held; neighbours on other connections notice nothing, nor do those on
 * the same one where it goes on.
 */
import { once } from 'node:events'
import { constants } from 'node:http2'
import { expect, test } from 'vitest'
import { eventually } from '../kit/deadline.ts'
import { endStream, fields, givenUp, http2Frame } from '../interop/support/raw-http2.ts'
import { kinds, openHttp2, requestFrame, uint32 } from '../interop/support/raw-http2.ts'
import { createRouter, createTally, startWithNeighbours } from './support/neighbours.ts'
import { memoryAfterGc } from '../support/memory.ts'

const MiB = 1024 * 1024
const count = 20_000
const on = (stream: number) => ({ stream, path: '/quiet' })
const json = [['content-type', 'application/json']] as const
const ack = 0x1

const begun = requestFrame(on(1))
const unfinished = (path: string) => requestFrame({ stream: 1, path, method: 'POST', headers: json })
const priority = Buffer.from([0, 0, 0, 0, 1])
const unended = { kind: kinds.headers, flags: endStream, stream: 1, payload: fields('GET', '/quiet') }

/** What is said first, and what follows it again and again. */
const floods = {
  PING: [begun, { kind: kinds.ping, payload: Buffer.alloc(8) }],
  SETTINGS: [begun, { kind: kinds.settings }],
  'answers to no PING': [begun, { kind: kinds.ping, flags: ack, payload: Buffer.alloc(8) }],
  'answers to no SETTINGS': [begun, { kind: kinds.settings, flags: ack }],
  'WINDOW_UPDATE by nothing': [begun, { kind: kinds.windowUpdate, stream: 1, payload: uint32(0) }],
  'DATA without a byte to a call': [unfinished('/save'), { kind: kinds.data, stream: 1 }],
  'DATA without a byte to a stream': [unfinished('/:stream?sluice=1'), { kind: kinds.data, stream: 1 }],
  CONTINUATION: [
    http2Frame(unended),
    { kind: kinds.continuation, stream: 1, payload: Buffer.from([0, 1, 97, 1, 98]) },
  ],
  PRIORITY: [begun, { kind: kinds.priority, stream: 1, payload: priority }],
  WINDOW_UPDATE: [begun, { kind: kinds.windowUpdate, stream: 1, payload: uint32(1) }],
  'frames of no kind': [begun, { kind: 0xfa, stream: 1, payload: priority }],
} as const

/** Which cost what they are, and keep nothing. */
const harmless: ReadonlySet<string> = new Set(['PRIORITY', 'WINDOW_UPDATE', 'frames of no kind'])

test.each(Object.entries(floods))(
  'a flood of %s ends with its connection at the latest, and leaves nothing behind',
  async (name, [first, each]) => {
    await using app = await startWithNeighbours({ onError: () => {} })
    const { port } = await app.http2()
    const before = await memoryAfterGc()
    using tcp = await openHttp2(port)
    tcp.write(Buffer.concat([first, ...Array(count).fill(http2Frame(each))]))
    if (harmless.has(name)) {
      // Which is answered after all of them.
      tcp.write(http2Frame({ kind: kinds.ping, payload: Buffer.from('the last') }))
      await tcp.until('the last')
      expect(givenUp(tcp, 'goaway')).toBeNull()
      tcp.cut()
    }
    await tcp.closed
    await app.calm()
    expect((await memoryAfterGc()) - before).toBeLessThan(4 * MiB)
  },
)

/** A stream that is begun and given up in the same breath. */
const startAndReset = (stream: number) => [
  requestFrame(on(stream)),
  http2Frame({ kind: kinds.rstStream, stream, payload: uint32(constants.NGHTTP2_CANCEL) }),
]
const streamIds = (count: number) => Array.from({ length: count }, (_, i) => 2 * i + 1)

test('10,000 streams of one connection, begun and reset at once, are too many: Node gives it up, and all have ended', async () => {
  const tally = createTally()
  await using app = await startWithNeighbours({ router: createRouter({ tally }) })
  const { port } = await app.http2()
  const before = await memoryAfterGc()
  using tcp = await openHttp2(port)
  tcp.write(Buffer.concat(streamIds(10_000).flatMap(startAndReset)))
  await eventually(() => givenUp(tcp, 'goaway') === constants.NGHTTP2_INTERNAL_ERROR)
  // It leaves the socket to the peer; with it or without, nothing is left of the streams.
  await app.calm()
  expect(tally.ended).toBe(tally.begun)
  expect(app.sluice.stats().connections).toEqual({ websocket: 1, stream: 0, sse: 3 })
  tcp.cut()
  await tcp.closed
  expect((await memoryAfterGc()) - before).toBeLessThan(4 * MiB)
})

test('900 of them are not, and the others on their connection go on', async () => {
  const tally = createTally()
  await using app = await startWithNeighbours({ router: createRouter({ tally }) })
  const { client } = await app.http2()
  const { session } = client
  for (let round = 0; round < 9; round++) {
    const streams = Array.from({ length: 100 }, (_, i) =>
      session.request({ ':path': i % 2 ? '/quiet' : '/echo' }).on('error', () => {}),
    )
    for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL)
    await Promise.all(streams.map(stream => stream.closed || once(stream, 'close')))
  }
  await app.calm()
  expect(tally.ended).toBe(tally.begun)
  expect(app.sluice.stats().connections).toEqual({ websocket: 1, stream: 0, sse: 3 })
  expect(await client.ask('/save', 7)).toEqual({ result: { data: 7 } })
})

test('streams that are begun without end are connections, and refused at their limit', async () => {
  await using app = await startWithNeighbours({ limits: { maxConnections: 504 } })
  const { port } = await app.http2()
  using tcp = await openHttp2(port)
  tcp.write(Buffer.concat(streamIds(2_000).map(stream => requestFrame(on(stream)))))
  await eventually(() => app.refusals().SERVER_FULL === 1_500)
  expect(app.sluice.stats().subscriptions).toBe(504)
  tcp.cut()
  await app.calm()
})
