/** Coming and going: a subscription until its first event on one WebSocket, and a whole connection for it. */
import { options } from './lib/options.ts'
import type { Row, Scenario } from './lib/scenario.ts'
import { Trial } from './lib/trial.ts'

/** Counted, not timed: on a busy machine a second does not get anybody warm. */
const cycles = Math.ceil(options.seconds * 10_000)

const row = (name: string, of: 'subscription' | 'connection', together = 1): Row => ({
  name,
  peers: ['stock', 'sluice', 'orpc', 'socketio', 'floor'],
  async measure(peer) {
    await using trial = await Trial.start(peer, 'websocket')
    const run = () => trial.cycle(of, { for: 'flood', events: 1 }, cycles, together)
    await run() // until the code is warm
    return (await trial.cpuMicros(run)) / cycles
  },
})

export default {
  what: 'Server CPU per cycle, in µs',
  rows: [
    row('subscribe, first event, unsubscribe', 'subscription'),
    // As a page does that shows another view.
    row('the same, ten together', 'subscription', 10),
    row('connect, subscribe, first event, close', 'connection'),
  ],
} satisfies Scenario
