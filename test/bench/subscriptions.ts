/** What a subscription costs among many on one WebSocket, while nothing happens. */
import { idleWith, type Scenario } from './lib/scenario.ts'
import { Trial } from './lib/trial.ts'

const subscriptions = 1_000

export default {
  what: 'Heap bytes per subscription, after gc',
  rows: [
    {
      name: `idle subscription among ${subscriptions} on one connection`,
      peers: ['stock', 'sluice', 'generator', 'orpc', 'floor'],
      async measure(peer) {
        await using trial = await Trial.start(peer, 'websocket')
        const ask = idleWith(peer)
        // What is made only once, compiled code included.
        for (let round = 0; round < 3; round++) await trial.connect(ask, { subscriptions })
        const before = await trial.weigh()
        await trial.connect(ask, { subscriptions })
        const { heapBytes } = await trial.weigh()
        return (heapBytes - before.heapBytes) / subscriptions
      },
    },
  ],
} satisfies Scenario
