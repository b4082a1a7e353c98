import type { Connections } from '../session/connections.ts'
import type { Counters, Refusals } from './counters.ts'

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
  /** All refusals since the start. */
  readonly refused: number
  /**
   * The same by the code of the error table that says why: connections turned away or cut off, messages and inputs
   * that broke a limit. A code that has not occurred is missing.
   */
  readonly refusals: Readonly<Refusals>
  readonly draining: boolean
}

export function takeStats(connections: Connections, counters: Counters, draining: boolean): SluiceStats {
  const open = { websocket: 0, sse: 0 }
  let bufferedBytes = 0
  for (const connection of connections) {
    open[connection.carrier] += 1
    bufferedBytes += connection.bufferedBytes
  }
  const refusals = { ...counters.refusals }
  const refused = Object.values(refusals).reduce((sum, count) => sum + count, 0)
  return { connections: open, bufferedBytes, draining, ...counters, refused, refusals }
}
