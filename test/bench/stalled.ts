/** One reader that never reads, and a generator that would give it 80 MB. */
import { onEachCarrier, type Scenario } from './lib/scenario.ts'
import { Trial } from './lib/trial.ts'

const events = 5_000
const bytes = 16 * 1024

/** What a heap takes and gives back by itself, in MB: less cannot be told from nothing. */
const noise = 0.5

export default {
  what: 'Growth of resident memory, in MB',
  rows: onEachCarrier('one reader that never reads, 5,000 × 16 KiB', async (peer, carrier) => {
    await using trial = await Trial.start(peer, carrier)
    // What is made only once.
    await trial.deliver(100, () => trial.connect({ for: 'flood', events: 100, bytes }))
    const before = await trial.weigh()
    await trial.connect({ for: 'flood', events, bytes }, { reads: false })
    await trial.offered(100 + events)
    const { rssBytes } = await trial.weigh()
    return Math.max(noise, (rssBytes - before.rssBytes) / 1e6)
  }).map(row =>
    row.name.includes('websocket') ? { ...row, peers: [...row.peers, 'graphql' as const] } : row,
  ),
} satisfies Scenario
