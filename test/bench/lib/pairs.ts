/** Rows that look at the client's end: a link, and the server that it talks to. */
import type { LinkName } from './client-messages.ts'
import type { PeerName } from './peer.ts'
import type { Row } from './scenario.ts'

export interface Pair {
  readonly link: LinkName
  readonly server: PeerName
}

export function pairsRow(
  name: string,
  pairs: Partial<Record<PeerName, Pair>>,
  measure: (pair: Pair) => Promise<number>,
): Row {
  return {
    name,
    peers: Object.keys(pairs) as PeerName[],
    measure(peer) {
      const pair = pairs[peer]
      if (!pair) throw new Error(`${peer} takes no part in "${name}".`)
      return measure(pair)
    },
  }
}
