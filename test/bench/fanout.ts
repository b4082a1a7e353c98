/** One topic, many subscribers. */
import type { Carrier, PeerName } from './lib/peer.ts'
import type { Scenario } from './lib/scenario.ts'
import { Trial } from './lib/trial.ts'

interface FanOut {
  readonly carrier: Carrier
  readonly subscribers: number
  readonly perTick: number
}

const peers = {
  websocket: ['stock', 'sluice', 'generator', 'orpc', 'socketio', 'ws', 'floor'],
  sse: ['stock', 'sluice', 'generator', 'orpc', 'hono', 'floor'],
} satisfies Record<Carrier, PeerName[]>

async function measure(peer: PeerName, { carrier, subscribers, perTick }: FanOut): Promise<number> {
  await using trial = await Trial.start(peer, carrier)
  await trial.connect({ for: 'events' }, { connections: subscribers })
  const tick = async (events: number) => {
    await trial.deliver(subscribers * events, () => trial.tick(events))
    return subscribers * events
  }
  // Some take ten seconds for a tick of 32: they are warm after fewer.
  return await trial.cpuPerEvent(
    () => tick(perTick),
    () => tick(Math.min(perTick, 4)),
  )
}

export default {
  what: 'Server CPU per delivered event, in µs',
  rows: (['websocket', 'sse'] as const).flatMap(carrier =>
    [100, 1000].flatMap(subscribers =>
      [1, 32].map(perTick => ({
        name: `fan-out, ${carrier}, ${subscribers} subscribers, ${perTick} per tick`,
        peers: peers[carrier],
        measure: (peer: PeerName) => measure(peer, { carrier, subscribers, perTick }),
      })),
    ),
  ),
} satisfies Scenario
