/** One topic, many subscribers, whose WebSockets deflate without context takeover, and whatever the size. */
import type { PeerName } from './lib/peer.ts'
import type { Scenario } from './lib/scenario.ts'
import { Trial } from './lib/trial.ts'

const subscribers = 100

async function measure(peer: PeerName, perTick: number): Promise<number> {
  await using trial = await Trial.start(peer, 'websocket', { deflated: true })
  await trial.connect({ for: 'events' }, { connections: subscribers })
  return await trial.cpuPerEvent(async () => {
    await trial.deliver(subscribers * perTick, () => trial.tick(perTick))
    return subscribers * perTick
  })
}

export default {
  what: 'Server CPU per delivered event, in µs',
  rows: [1, 32].map(perTick => ({
    name: `fan-out, deflate, ${subscribers} subscribers, ${perTick} per tick`,
    peers: ['stock', 'sluice'],
    measure: (peer: PeerName) => measure(peer, perTick),
  })),
} satisfies Scenario
