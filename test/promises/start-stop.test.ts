/**
 * Promise 7: subscriptions that are started and stopped by the thousand, in each way that they can be asked for. Every
 * generator comes to its end, which is counted by the application's own `finally`; and one request gets no more of them
 * than a connection may have.
 */
import { once } from 'node:events'
import { connect, constants } from 'node:http2'
import { expect, test } from 'vitest'
import { eventually } from '../kit/deadline.ts'
import { postStream } from '../interop/support/raw-stream.ts'
import { createRouter, createTally, startWithNeighbours } from './support/neighbours.ts'

async function start(limits: object = {}) {
  const tally = createTally()
  const app = await startWithNeighbours({ router: createRouter({ tally }), limits, onError: () => {} })
  return { app, tally }
}

const subscriptions = (count: number) =>
  Array.from({ length: count }, (_, id) => ({ id, method: 'subscription', params: { path: 'quiet' } }))

test.each([
  ['before they can run', false],
  ['as soon as they run', true],
])('5,000 requests for a stream that are given up %s', async (_, awaited) => {
  const { app, tally } = await start()
  await using _app = app
  const { port } = await app.http2()
  // Node gives a connection up that resets more than 1,000 of its streams at once.
  for (let session = 0; session < 10; session++) {
    const attacker = connect(`http://127.0.0.1:${port}`)
    const streams = Array.from({ length: 500 }, () =>
      attacker.request({ ':path': '/quiet' }).on('error', () => {}),
    )
    if (awaited) await Promise.all(streams.map(stream => once(stream, 'response')))
    for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL)
    await Promise.all(streams.map(stream => stream.closed || once(stream, 'close')))
    attacker.destroy()
  }
  await app.calm()
  expect(tally.ended).toBe(tally.begun)
  if (awaited) expect(tally.begun).toBe(5_000)
  expect(app.sluice.stats().connections).toEqual({ websocket: 1, stream: 0, sse: 3 })
})

test('10 posts of 1,000 subscriptions each that are given up before they can run, and as soon as they run', async () => {
  const { app, tally } = await start()
  await using _app = app
  const body = JSON.stringify({ subscriptions: subscriptions(1_000) })
  for (let round = 0; round < 5; round++) {
    const early = await postStream(app.url, body)
    early.cut()
    const late = await postStream(app.url, body)
    await late.until('{"id":999,"result":{"type":"started"}')
    late.cut()
  }
  await app.calm()
  expect(tally.ended).toBe(tally.begun)
  expect(tally.begun).toBeGreaterThanOrEqual(5_000)
  expect(app.sluice.stats().connections).toEqual({ websocket: 1, stream: 0, sse: 1 })
  expect(app.refusals()).toEqual({})
})

test('10,000 subscriptions in one post are too many', async () => {
  const { app } = await start()
  await using _app = app
  await using response = await postStream(app.url, { subscriptions: subscriptions(10_000) })
  await response.until('"code":"BATCH_TOO_LONG"')
  expect(response.status).toBe(400)
  expect(app.refusals()).toEqual({ BATCH_TOO_LONG: 1 })
  await app.calm()
})

test('where they are not, they are no more than a connection may have', async () => {
  const { app, tally } = await start({ maxBatchLength: 20_000, maxSubscriptions: 100 })
  await using _app = app
  await using response = await postStream(app.url, { subscriptions: subscriptions(10_000) })
  await eventually(() => app.refusals().TOO_MANY_SUBSCRIPTIONS === 9_900)
  await response.until('{"id":9999,"error"')
  expect(app.sluice.stats().subscriptions).toBe(102)
  expect(tally.begun).toBe(100)
  response.cut()
  await app.calm()
  expect(tally.ended).toBe(100)
})
