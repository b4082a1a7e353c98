/** Coming and going: a subscription until its first event on one WebSocket, and a whole connection for it. */
import { options } from './lib/options.ts'
import type { Row, Scenario } from './lib/scenario.ts'
import { Trial } from './lib/trial.ts'

const row = (name: string, of: 'subscription' | 'connection'): Row => ({
  name,
  peers: ['stock', 'sluice', 'orpc', 'socketio', 'floor'],
  async measure(peer) {
    await using trial = await Trial.start(peer, 'websocket')
    const ms = options.seconds * 1000
    await trial.cycle(of, { for: 'flood', events: 1 }, ms / 2) // until the code is warm
    let cycles = 0
    const micros = await trial.cpuMicros(async () => {
      cycles = await trial.cycle(of, { for: 'flood', events: 1 }, ms)
    })
    return micros / cycles
  },
})

export default {
  what: 'Server CPU per cycle, in µs',
  rows: [
    row('subscribe, first event, unsubscribe', 'subscription'),
    row('connect, subscribe, first event, close', 'connection'),
  ],
} satisfies Scenario
