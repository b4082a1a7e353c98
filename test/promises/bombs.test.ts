/**
 * Promise 7: what inflates to more than it should, before and after its sender has said who it is. It is refused when
 * it reaches the limit, and not when it has been inflated; it is counted, and two neighbours notice nothing.
 */
import { constants, deflateRawSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { RawResponse } from '../interop/support/raw-http.ts'
import { frame, RawTcp } from '../interop/support/raw-tcp.ts'
import { post, startWithNeighbours } from './support/neighbours.ts'

const offer = 'Sec-WebSocket-Extensions: permessage-deflate'
const MiB = 1024 * 1024

/** 64 MiB of zeros, in blocks that may be repeated: each refers to nothing before it. */
const block = deflateRawSync(Buffer.alloc(64 * MiB), { finishFlush: constants.Z_SYNC_FLUSH })
/** Inflates to 1 GiB. */
const bomb = Buffer.concat(Array.from({ length: 16 }, () => block))
const text = 0x01
const final = 0x80
const deflated = 0x40

function attack(raw: RawTcp, ways: 'one frame' | 'fragments'): void {
  if (ways === 'one frame') return raw.write(frame(final | deflated | text, bomb))
  raw.write(frame(deflated | text, block))
  for (let i = 0; i < 14; i++) raw.write(frame(0, block))
  raw.write(frame(final, block))
}

describe.each(['one frame', 'fragments'] as const)('1 GiB in 1 MB, as %s', ways => {
  test.each([
    ['before connection params', '/?connectionParams=1', []],
    ['after them', '/?connectionParams=1', ['{"method":"connectionParams","data":{}}']],
    ['beside a subscription', '/', ['{"id":1,"method":"subscription","params":{"path":"quiet"}}']],
  ])('%s, is refused at the limit, and costs no more than that', async (_when, path, said) => {
    await using app = await startWithNeighbours({ compression: true })
    expect(bomb.length).toBeLessThan(1.1 * MiB)
    const attackers = await Promise.all(
      Array.from({ length: 10 }, () => RawTcp.upgrade(app.port, path, offer)),
    )
    for (const raw of attackers) {
      expect(raw.head).toContain('permessage-deflate')
      for (const message of said) raw.write(frame(final | text, message))
    }
    let peak = 0
    const before = process.memoryUsage.rss()
    const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss() - before)), 2)
    for (const raw of attackers) attack(raw, ways)
    await Promise.all(attackers.map(raw => raw.untilClosedWith(1009)))
    clearInterval(watch)
    expect(app.refusals()).toEqual({ PAYLOAD_TOO_LARGE: 10 })
    // Ten that were inflated would be 10 GiB.
    expect(peak).toBeLessThan(200 * MiB)
    for (const raw of attackers) raw[Symbol.dispose]()
    await app.calm()
  })
})

test('deflate that is none ends its own connection', async () => {
  await using app = await startWithNeighbours({ compression: true })
  using raw = await RawTcp.upgrade(app.port, '/', offer)
  raw.write(frame(final | deflated | text, Buffer.alloc(100, 0xff)))
  await raw.untilClosedWith(1007)
  expect(app.refusals()).toEqual({ MESSAGE_INVALID: 1 })
})

test('a deflated frame where none was negotiated ends its own connection', async () => {
  await using app = await startWithNeighbours({ compression: true })
  using raw = await RawTcp.upgrade(app.port)
  raw.write(frame(final | deflated | text, block))
  await raw.untilClosedWith(1002)
  expect(app.refusals()).toEqual({ MESSAGE_INVALID: 1 })
})

test('the body of a request is not inflated', async () => {
  await using app = await startWithNeighbours({ compression: true })
  const body = gzipSync(Buffer.alloc(64 * MiB)).toString('latin1')
  const headers = { ...post.headers, 'content-encoding': 'gzip' }
  await using response = await RawResponse.open(`${app.url}/save`, { ...post, headers, body })
  await response.ended
  expect(response.status).toBe(400)
  expect(app.refusals()).toEqual({ MESSAGE_INVALID: 1 })
})
