import type { Connections } from '../session/connections.ts'
import type { Counters } from './counters.ts'

/** A server at one moment, in plain numbers. */
export interface SluiceStats {
  /** Open connections by carrier. */
  readonly connections: { readonly websocket: number; readonly sse: number }
  /** Subscriptions now running, set-up and clean-up included. */
  readonly subscriptions: number
  /** Bytes handed to sockets that the network has not taken yet, over all connections. */
  readonly bufferedBytes: number
  /** Events sent since the start. */
  readonly eventsOut: number
  /** Bytes of encoded messages sent since the start. */
  readonly bytesOut: number
  /** Generators that did not end within the grace period, since the start. */
  readonly overstayed: number
  /** Upgrades refused since the start: foreign origin, draining. */
  readonly refused: number
  readonly draining: boolean
}

export function takeStats(connections: Connections, counters: Counters, draining: boolean): SluiceStats {
  const open = { websocket: 0, sse: 0 }
  let bufferedBytes = 0
  for (const connection of connections) {
    open[connection.carrier] += 1
    bufferedBytes += connection.bufferedBytes
  }
  return { connections: open, bufferedBytes, draining, ...counters }
}
