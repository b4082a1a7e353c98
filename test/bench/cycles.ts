/** Coming and going: a subscription until its first event, or a whole connection for it. */
import { options } from './lib/options.ts'
import type { Row, Scenario } from './lib/scenario.ts'
import { Trial, type CycleOptions } from './lib/trial.ts'

/** Counted, not timed: on a busy machine a second does not get anybody warm. */
const cycles = {
  subscription: Math.ceil(options.seconds * 50_000),
  connection: Math.ceil(options.seconds * 20_000),
}

const row = (name: string, cycle: CycleOptions): Row => ({
  name,
  peers: ['stock', 'sluice', 'orpc', 'socketio', 'floor'],
  async measure(peer) {
    await using trial = await Trial.start(peer, 'websocket')
    const count = cycles[cycle.of]
    const run = () => trial.cycle({ for: 'flood', events: 1 }, count, cycle)
    await run() // until the code is warm
    return (await trial.cpuMicros(run)) / count
  },
})

export default {
  what: 'Server CPU per cycle, in µs',
  rows: [
    row('subscribe, first event, unsubscribe, on each of 10 connections', { of: 'subscription', lines: 10 }),
    // As a page does that shows another view.
    row('the same on one connection, ten together', { of: 'subscription', together: 10 }),
    // Between two of them a server goes to sleep, and wakes up with cold caches.
    row('the same on one connection, one at a time', { of: 'subscription' }),
    row('connect, subscribe, first event, close, 10 at a time', { of: 'connection', lines: 10 }),
    row('the same, one at a time', { of: 'connection' }),
  ],
} satisfies Scenario
