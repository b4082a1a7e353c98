/**
 * Promise 7: what can be sent without end over a WebSocket. All of it counts for `messagesPerSecond`, or it is a frame too
 * many of one message; and nobody is answered who does not read. Two neighbours notice nothing.
 */
import { expect, test } from 'vitest'
import { eventually } from '../kit/deadline.ts'
import { createFakeClock } from '../kit/fake-clock.ts'
import { frame, RawTcp } from '../interop/support/raw-tcp.ts'
import { query, startWithNeighbours } from './support/neighbours.ts'

const MiB = 1024 * 1024
const [text, binary, ping, pong] = [0x81, 0x82, 0x89, 0x8a]
const json = (message: unknown) => frame(text, JSON.stringify(message))
const credit = { id: 1, method: 'subscription.credit', params: { events: 1 } }

/** As many as may be sent at once. */
const burst = 2_000

/** What comes again and again, and as how many messages it counts. */
const floods: Record<string, readonly [frame: Buffer, messages?: number]> = {
  pings: [frame(ping, 'x'.repeat(125))],
  'pings without a word': [frame(ping)],
  'pongs that nobody asked for': [frame(pong, 'x')],
  "pings of tRPC's protocol": [frame(text, 'PING')],
  "pongs of tRPC's protocol": [frame(text, 'PONG')],
  'empty texts': [frame(text)],
  'empty binary messages': [frame(binary)],
  'empty batches': [json([])],
  nonsense: [json({ id: 1, method: 'nonsense' })],
  'stops of what does not run': [json({ id: 9, method: 'subscription.stop' })],
  'credits for what was never sent': [json(credit)],
  'credits without a subscription': [json({ ...credit, id: 9 })],
  'credits that make no sense': [json({ ...credit, params: { events: -1 } })],
  'batches of credits for what was never sent': [json(Array.from({ length: 1_000 }, () => credit)), 1_000],
  'connection params anew': [json({ method: 'connectionParams', data: { a: 'b' } })],
}

test.each(Object.entries(floods))(
  'a flood of %s is cut off at the limit',
  async (_, [each, messages = 1]) => {
    const clock = createFakeClock()
    const limits = { maxMessageBurst: burst }
    await using app = await startWithNeighbours({ clock, limits, onError: () => {} })
    using tcp = await RawTcp.upgrade(app.port, '/?sluice=1')
    // With credit, and nothing that it was ever sent.
    tcp.write(
      json({ id: 1, method: 'subscription', params: { path: 'quiet', credit: { events: 1, bytes: MiB } } }),
    )
    const times = Math.floor((burst - 2) / messages)
    tcp.write(Buffer.concat(Array.from({ length: times }, () => each)))
    tcp.write(json(query(2, 'still here')))
    await tcp.until('"data":"still here"')
    expect(app.refusals().TOO_MANY_MESSAGES).toBeUndefined()

    tcp.write(each)
    await tcp.untilClosedWith(4503)
    await clock.advance(1_000) // in which it might have said goodbye
    await tcp.closed
    expect(app.refusals().TOO_MANY_MESSAGES).toBe(1)
    await app.calm()
  },
)

test('who does not read the answers to its pings is not read', async () => {
  const times = 90_000 // the answers are more than any kernel takes
  const limits = { messagesPerSecond: 1e9, maxMessageBurst: 1e9 }
  await using app = await startWithNeighbours({ limits })
  using tcp = await RawTcp.upgrade(app.port)
  tcp.pause()
  const payload = 'x'.repeat(125)
  tcp.write(Buffer.concat(Array.from({ length: times }, () => frame(ping, payload))))
  let peak = 0
  const look = () => (peak = Math.max(peak, app.sluice.stats().bufferedBytes))
  await eventually(() => look() > 64 * 1024)
  // In each of these turns, the server could read another 64 KiB.
  for (let turn = 0; turn < 100; turn++) {
    await new Promise(resolve => setImmediate(resolve))
    look()
  }
  expect(peak).toBeLessThan(MiB) // what one read of the socket has asked for is answered

  tcp.resume()
  const pongs = () => tcp.received.length / (2 + payload.length)
  await eventually(() => pongs() === times, { withinMs: 30_000, what: 'all pings to be answered' })
})
