/** What a connection costs that has one subscription, on which nothing happens. */
import { idleWith, onEachCarrier, type Scenario } from './lib/scenario.ts'
import { Trial } from './lib/trial.ts'

const connections = 1_000
const rounds = 3

const rows = onEachCarrier('idle connection with one subscription', async (peer, carrier) => {
  await using trial = await Trial.start(peer, carrier)
  const ask = idleWith(peer)
  // What is made only once, compiled code included.
  const connect = async () => {
    for (let round = 0; round < rounds; round++) await trial.connect(ask, { connections })
  }
  await connect()
  const before = await trial.weigh()
  await connect()
  const { heapBytes } = await trial.weigh()
  return (heapBytes - before.heapBytes) / (rounds * connections)
})

export default {
  what: 'Heap bytes per connection, after gc',
  rows: rows.map(row => ({ ...row, peers: [...row.peers, 'generator'] })),
} satisfies Scenario
