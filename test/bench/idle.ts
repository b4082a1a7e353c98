/** What a connection costs that has one subscription, on which nothing happens. */
import { idleWith, onEachCarrier, type Scenario } from './lib/scenario.ts'
import { Trial } from './lib/trial.ts'

const connections = 1_000

const rows = onEachCarrier('idle connection with one subscription', async (peer, carrier) => {
  await using trial = await Trial.start(peer, carrier)
  const ask = idleWith(peer)
  // What is made only once, compiled code included.
  for (let round = 0; round < 3; round++) await trial.connect(ask, { connections })
  const before = await trial.weigh()
  await trial.connect(ask, { connections })
  const { heapBytes } = await trial.weigh()
  return (heapBytes - before.heapBytes) / connections
})

export default {
  what: 'Heap bytes per connection, after gc',
  rows: rows.map(row => ({ ...row, peers: [...row.peers, 'generator'] })),
} satisfies Scenario
