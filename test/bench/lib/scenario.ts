import type { Ask, Carrier, PeerName } from './peer.ts'

/** One question, asked of several peers: what each file of this folder exports. */
export interface Scenario {
  /** What is measured, with its unit. */
  readonly what: string
  readonly rows: readonly Row[]
}

export interface Row {
  readonly name: string
  /** Who is asked, in this order, each round. */
  readonly peers: readonly PeerName[]
  readonly measure: (peer: PeerName) => Promise<number>
}

const usual = {
  websocket: ['stock', 'sluice', 'orpc', 'socketio', 'floor'],
  sse: ['stock', 'sluice', 'orpc', 'hono', 'floor'],
} satisfies Record<Carrier, readonly PeerName[]>

/** A row for each carrier, with the peers that speak it. */
export function onEachCarrier(
  name: string,
  measure: (peer: PeerName, carrier: Carrier) => Promise<number>,
): Row[] {
  return (['websocket', 'sse'] as const).map(carrier => ({
    name: `${name}, ${carrier}`,
    peers: usual[carrier],
    measure: peer => measure(peer, carrier),
  }))
}

/**
 * A subscription on which nothing happens: a topic's, or whatever a peer has for it. Stock tRPC has nothing, so there
 * it is a generator that waits, the least that it can hold; and beside it the same generator on our server.
 */
export function idleWith(peer: PeerName): Ask {
  return peer === 'stock' || peer === 'generator' ? { for: 'tokens' } : { for: 'events' }
}
