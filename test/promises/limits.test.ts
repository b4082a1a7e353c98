/**
 * Promise 7: limits on everything that a stranger can send or hold. Whoever breaks one is refused in a typed way and
 * counted, and two neighbours on the same server, one over each carrier, notice nothing.
 */
import type { IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { eventually } from '../kit/deadline.ts'
import { createFakeClock } from '../kit/fake-clock.ts'
import { withPeer } from '../interop/support/peers.ts'
import { RawResponse } from '../interop/support/raw-http.ts'
import { frame, RawTcp, upgradeHead } from '../interop/support/raw-tcp.ts'
import { messagesIn, postStream } from '../interop/support/raw-stream.ts'
import { RawWebSocket } from '../interop/support/raw-websocket.ts'
import { deep, deepQuery, keys, post, query, router, startWithNeighbours } from './support/neighbours.ts'

describe('messages per second', () => {
  const limits = { messagesPerSecond: 10, maxMessageBurst: 20 }

  test('more than the burst close the connection, with a code that lets a client come back later', async () => {
    await using app = await startWithNeighbours({ clock: createFakeClock(), limits })
    await using socket = await RawWebSocket.open(app.url)
    for (let id = 1; id <= 25; id++) socket.send(query(id, id))
    expect(await socket.closed).toEqual({ code: 4503, reason: 'TOO_MANY_MESSAGES' })
    expect(app.refusals()).toEqual({ TOO_MANY_MESSAGES: 1 })
  })

  test('come back with the time', async () => {
    const clock = createFakeClock()
    await using app = await startWithNeighbours({ clock, limits })
    await using socket = await RawWebSocket.open(app.url)
    for (let id = 1; id <= 20; id++) socket.send(query(id, id))
    await socket.count(20)
    await clock.advance(1_000)
    for (let id = 21; id <= 30; id++) socket.send(query(id, id))
    await socket.count(30)
    socket.send(query(31))
    expect((await socket.closed).code).toBe(4503)
  })

  test('are counted one by one in a batch, and none of a batch that is too much is carried out', async () => {
    await using app = await startWithNeighbours({ clock: createFakeClock(), limits })
    await using socket = await RawWebSocket.open(app.url)
    socket.send(Array.from({ length: 21 }, (_, id) => query(id, id)))
    expect((await socket.closed).code).toBe(4503)
    expect(socket.frames).toEqual([])
  })

  test('do not include what a consumer says it has taken, unless it was not sent so much', async () => {
    await using app = await startWithNeighbours({ clock: createFakeClock(), limits })
    await using socket = await RawWebSocket.open(`${app.url}?sluice=1`)
    const grant = { id: 1, method: 'subscription.credit', params: { events: 1 } }
    socket.subscribe(1, 'numbers', undefined, { credit: { events: 1, bytes: 1024 * 1024 } })
    for (let taken = 1; taken <= 100; taken++) {
      await socket.until(`"data":${taken}}`)
      socket.send(grant)
    }
    socket.send({ id: 1, method: 'subscription.stop' })
    await socket.until('stopped')
    for (let i = 0; i < 20; i++) socket.send(grant)
    expect((await socket.closed).code).toBe(4503)
  })

  test('include pings: a flood of them, from one who takes no goodbye, is cut', async () => {
    await using app = await startWithNeighbours({ limits })
    using tcp = await RawTcp.upgrade(app.port)
    tcp.write(Buffer.concat(Array.from({ length: 10_000 }, () => frame(0x89, 'ping'))))
    await tcp.untilClosedWith(4503)
    await tcp.closed
    expect(app.refusals()).toEqual({ TOO_MANY_MESSAGES: 1 })
  })
})

describe('a batch', () => {
  test('of 10,000 subscriptions is refused as a whole, and the connection stays in use', async () => {
    await using app = await startWithNeighbours()
    await using socket = await RawWebSocket.open(app.url)
    const subscribe = (id: number) => ({ id, method: 'subscription', params: { path: 'quiet' } })
    socket.send(Array.from({ length: 10_000 }, (_, id) => subscribe(id)))
    const [answer = ''] = await socket.count(1)
    expect(JSON.parse(answer)).toMatchObject({
      id: null,
      error: {
        data: { code: 'BAD_REQUEST', sluice: { code: 'BATCH_TOO_LONG', data: { limit: 1_000 } } },
      },
    })
    socket.send(Array.from({ length: 1_000 }, (_, id) => subscribe(id)))
    await eventually(() => app.sluice.stats().subscriptions === 1_002)
    expect(app.refusals()).toEqual({ BATCH_TOO_LONG: 1 })
  })

  test('of HTTP has the same limit', async () => {
    await using app = await startWithNeighbours({ limits: { maxBatchLength: 3 } })
    expect((await fetch(`${app.url}/echo,echo,echo?batch=1`)).status).toBe(200)
    const tooLong = {
      data: { code: 'BAD_REQUEST', sluice: { code: 'BATCH_TOO_LONG', data: { limit: 3 } } },
    }
    const answers = [
      await fetch(`${app.url}/echo,echo,echo%2Cecho?batch=1`),
      await app.sluice.fetch(new Request(`${app.url}/save,save,save,save?batch=1`, { ...post, body: '{}' })),
    ]
    for (const answer of answers) {
      expect(answer.status).toBe(400)
      expect(await answer.json()).toMatchObject({ error: tooLong })
    }
    expect(app.refusals()).toEqual({ BATCH_TOO_LONG: 2 })
  })

  test("longer than tRPC's own option allows is refused in tRPC's words, and counted", async () => {
    await using app = await startWithNeighbours({ maxBatchSize: 2 })
    await using socket = await RawWebSocket.open(app.url)
    socket.send([query(1), query(2), query(3)])
    const [answer = ''] = await socket.count(1)
    const response = await fetch(`${app.url}/echo,echo,echo?batch=1`)
    for (const said of [JSON.parse(answer) as unknown, await response.json()]) {
      expect(said).toMatchObject({ error: { message: 'Batch call exceeds maximum size' } })
    }
    expect(app.refusals()).toEqual({ BATCH_TOO_LONG: 2 })
  })
})

describe('input', () => {
  const tooDeep = {
    data: { code: 'BAD_REQUEST', sluice: { code: 'INPUT_TOO_DEEP', data: { limit: 64 } } },
  }

  test('nested 65 deep is refused, and 64 deep is not', async () => {
    await using app = await startWithNeighbours()
    await using socket = await RawWebSocket.open(app.url)
    socket.send(deepQuery(65))
    const [answer = ''] = await socket.count(1)
    expect(JSON.parse(answer)).toMatchObject({ error: tooDeep })
    socket.send(deepQuery(64))
    await socket.until(`"data":${deep(64)}`)
  })

  test('of as many keys as fit is answered', async () => {
    await using app = await startWithNeighbours()
    await using socket = await RawWebSocket.open(app.url)
    socket.send(JSON.stringify(query(1, 'here')).replace('"here"', keys(100_000)))
    await socket.until('"99999":0')
  })
})

describe('the id of a request', () => {
  const subscription = (id: string) => ({ id, method: 'subscription', params: { path: 'quiet' } })
  const long = 'x'.repeat(257)
  const refused = {
    id: null,
    error: { data: { sluice: { code: 'MESSAGE_INVALID', data: { limit: 256 } } } },
  }

  test('over a WebSocket may have 256 characters; a longer one is refused, and not said again', async () => {
    await using app = await startWithNeighbours()
    await using socket = await RawWebSocket.open(app.url)
    const methods = [subscription(long), { id: long, method: 'subscription.stop' }, { ...query(1), id: long }]
    for (const message of methods) {
      socket.send(message)
      await socket.count(1)
      const [answer = ''] = socket.frames.splice(0)
      expect(JSON.parse(answer)).toMatchObject(refused)
      expect(answer).not.toContain('xx')
    }
    expect(app.refusals()).toEqual({ MESSAGE_INVALID: 3 })
    socket.send(subscription(long.slice(1)))
    await socket.until(`{"id":"${long.slice(1)}","result":{"type":"started"}}`)
  })

  test('in a stream may have as many; a longer one costs only itself', async () => {
    await using app = await startWithNeighbours()
    const subscriptions = [subscription(long), { id: long }, subscription(long.slice(1))]
    await using response = await postStream(app.url, { subscriptions })
    await response.until('"started"')
    const [, first, second, started] = messagesIn(response.text)
    for (const answer of [first, second]) expect(answer).toMatchObject(refused)
    expect(started).toEqual({ id: long.slice(1), result: { type: 'started' } })
    expect(response.text).not.toContain(long)
    expect(app.refusals()).toEqual({ MESSAGE_INVALID: 2 })
  })
})

describe('subscriptions', () => {
  test('started and stopped 10,000 times leave nothing behind', async () => {
    await using app = await startWithNeighbours()
    await using socket = await RawWebSocket.open(app.url)
    for (let id = 1; id <= 10_000; id++) {
      socket.subscribe(id, 'quiet')
      socket.send({ id, method: 'subscription.stop' })
    }
    await eventually(() => socket.frames.filter(frame => frame.includes('stopped')).length > 0)
    await app.calm()
    expect(app.refusals()).toEqual({})
  })

  test('more than a connection may have are counted as refused', async () => {
    await using app = await startWithNeighbours({ limits: { maxSubscriptions: 1 } })
    await using socket = await RawWebSocket.open(app.url)
    socket.subscribe(1, 'quiet')
    socket.subscribe(2, 'quiet')
    await socket.until('TOO_MANY_SUBSCRIPTIONS')
    expect(app.refusals()).toEqual({ TOO_MANY_SUBSCRIPTIONS: 1 })
  })
})

describe('connections', () => {
  test('in all: one more is refused with 503 and Retry-After, until one leaves', async () => {
    await using app = await startWithNeighbours({ limits: { maxConnections: 3 } })
    const last = await RawWebSocket.open(app.url)
    using tcp = await RawTcp.open(app.port)
    tcp.write(upgradeHead())
    await tcp.until('\r\n\r\n')
    expect(tcp.received.toString()).toMatch(/^HTTP\/1.1 503 [^]*Retry-After: 5\r\n/)
    const stream = await RawResponse.open(`${app.url}/quiet`)
    await stream.ended
    expect(stream).toMatchObject({ status: 503, headers: { 'retry-after': '5' } })
    expect(JSON.parse(stream.text)).toMatchObject({ error: { data: { sluice: { code: 'SERVER_FULL' } } } })
    expect(app.refusals()).toEqual({ SERVER_FULL: 2 })
    // What holds nothing is still answered.
    expect((await fetch(`${app.url}/echo`)).status).toBe(200)
    await last.close()
    await eventually(() => app.sluice.stats().connections.websocket === 1)
    await (await RawWebSocket.open(app.url)).close()
  })

  test('of one address: one more is refused with 429 and Retry-After, and not those of others', async () => {
    await using app = await startWithNeighbours({
      limits: { maxConnectionsPerAddress: 2 },
      addressOf: ({ headers }: IncomingMessage) => String(headers['x-real-ip']),
    })
    const from = (address: string) => ({ 'x-real-ip': address })
    const first = await RawWebSocket.open(app.url, from('192.0.2.1'))
    const stream = await RawResponse.open(`${app.url}/quiet`, { headers: from('192.0.2.1') })
    await expect(RawWebSocket.open(app.url, from('192.0.2.1'))).rejects.toThrow('refused with 429')
    const refused = await RawResponse.open(`${app.url}/quiet`, { headers: from('192.0.2.1') })
    expect(refused).toMatchObject({ status: 429, headers: { 'retry-after': '5' } })
    expect(app.refusals()).toEqual({ TOO_MANY_CONNECTIONS: 2 })
    await (await RawWebSocket.open(app.url, from('192.0.2.2'))).close()
    await first.close()
    stream.leave()
    await app.calm()
    await (await RawWebSocket.open(app.url, from('192.0.2.1'))).close()
  })

  test('that are opened and reset, 1,000 of them, leave nothing behind', async () => {
    await using app = await startWithNeighbours({ limits: { maxConnections: 100 } })
    for (let round = 0; round < 20; round++) {
      const peers = await Promise.all(Array.from({ length: 50 }, () => RawTcp.open(app.port)))
      for (const [index, peer] of peers.entries()) {
        if (index % 3 > 0) peer.write(upgradeHead())
        if (index % 3 > 1)
          peer.write(frame(0x81, '{"id":1,"method":"subscription","params":{"path":"quiet"}}'))
        peer.cut()
      }
    }
    await app.calm()
    await eventually(() => app.sluice.stats().connections.websocket === 1)
    await (await RawWebSocket.open(app.url)).close()
  })
})

describe('frames', () => {
  test.each([
    ['16,383 fragments of a message that never ends', fragments(16_383), 1008, 'PAYLOAD_TOO_LARGE'],
    ['a length of 64 bits', [0x82, 0xff, 0xff, ...Array(13).fill(0xff)], 1009, 'PAYLOAD_TOO_LARGE'],
    ['text that is not UTF-8', [0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 1007, 'MESSAGE_INVALID'],
  ])('with %s close their connection, and no other', async (_, bytes, close, code) => {
    await using app = await startWithNeighbours()
    using tcp = await RawTcp.upgrade(app.port)
    tcp.write(Uint8Array.from(bytes))
    await tcp.untilClosedWith(close)
    expect(app.refusals()).toEqual({ [code]: 1 })
  })
})

describe('silence', () => {
  test('instead of connection params is heard for 3 s', async () => {
    const clock = createFakeClock()
    await using app = await startWithNeighbours({ clock, keepAlive: { enabled: false } })
    await using socket = await RawWebSocket.open(`${app.url}?connectionParams=1`)
    await socket.settled()
    await clock.advance(2_999)
    await socket.settled()
    await clock.advance(1)
    expect((await socket.closed).code).toBe(4508)
    expect(app.refusals()).toEqual({ SILENT_PEER: 1 })
  })

  test('of one who wants nothing is heard for 10 min, heartbeats or not', async () => {
    const clock = createFakeClock()
    await using app = await startWithNeighbours({ clock, keepAlive: { enabled: false } })
    await using socket = await RawWebSocket.open(app.url)
    socket.send(query(1))
    await socket.count(1)
    await clock.advance(300_000)
    socket.subscribe(2, 'quiet')
    await socket.until('started')
    await clock.advance(3_600_000)
    socket.send({ id: 2, method: 'subscription.stop' })
    await socket.until('stopped')
    await clock.advance(599_999)
    await socket.settled() // a heartbeat
    await clock.advance(1)
    expect(await socket.closed).toEqual({ code: 4508, reason: 'IDLE' })
    expect(app.refusals()).toEqual({ IDLE: 1 })
  })

  test.each([
    ['in the middle of its head', 'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n'],
    [
      'in the middle of its body',
      'POST /save HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n[',
    ],
  ])('of a request %s ends with 408', async (_, bytes) => {
    await using app = await startWithNeighbours({ limits: { requestHeadMs: 100, requestMs: 200 } })
    using tcp = await RawTcp.open(app.port)
    tcp.write(bytes)
    await tcp.closed
    expect(tcp.received.toString()).toMatch(/^HTTP\/1.1 408 /)
    expect(app.refusals()).toEqual({ SILENT_PEER: 1 })
  })
})

test("tRPC's own adapters by name have tRPC's own limits, which is none", async () => {
  await withPeer('ours', router, {}, async peer => {
    const socket = await peer.open()
    socket.send(Array.from({ length: 2_000 }, (_, id) => query(id, id)))
    await socket.count(2_000)
    socket.send(deepQuery(100))
    await socket.until(deep(100))
    const answer = await fetch(`${peer.url}/${Array(1_500).fill('echo').join(',')}?batch=1`)
    expect(answer.status).toBe(200)
  })
})

function fragments(count: number): number[] {
  // The first says that it is text, and none that it is the last.
  return Array.from({ length: count }, (_, i) => [...frame(i === 0 ? 0x01 : 0x00, 'x')]).flat()
}
