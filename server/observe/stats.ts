import type { Connections } from '../session/connections.ts'
import type { Counters, Refusals } from './counters.ts'
import type { EventLoopDelay, EventLoopStats } from './event-loop.ts'

/** A server at one moment, in plain numbers. */
export interface SluiceStats {
  /** Open connections by carrier. */
  readonly connections: { readonly websocket: number; readonly stream: number; readonly sse: number }
  /** Subscriptions now running, set-up and clean-up included. */
  readonly subscriptions: number
  /** Those that have been set up, by the path of their procedure. A path without any is missing. */
  readonly subscriptionsByPath: Readonly<Record<string, number>>
  /** Bytes handed to sockets that the network has not taken yet, over all connections. */
  readonly bufferedBytes: number
  /** Messages received over WebSockets since the start, without heartbeats, and their bytes. */
  readonly messagesIn: number
  readonly bytesIn: number
  /** Events sent since the start. */
  readonly eventsOut: number
  /** Bytes of encoded messages sent since the start. */
  readonly bytesOut: number
  /** Subscribers of topics that a subscription returned as they are, so that they are pushed to. */
  readonly subscribers: {
    /** Given each event as it comes. */
    readonly live: number
    /** Reading what they have missed, from memory or from the store. */
    readonly behind: number
    /**
     * Events that they have yet to be given: all of them together, and the one that is furthest behind; and how long
     * ago the oldest of these was published, in milliseconds.
     */
    readonly lag: { readonly total: number; readonly max: number; readonly maxMs: number }
  }
  /**
   * How those that came back with a cursor were served, since the start: from memory (`ring`), from the `store`, or
   * with a gap or a state because their events were gone (`missed`, also for every subscription ended by `GAP`).
   */
  readonly resumes: { readonly ring: number; readonly store: number; readonly missed: number }
  /**
   * What slow readers cost, since the start. Events left out by the policies `conflate` and `drop-oldest`;
   * subscriptions ended by `disconnect`. Also where a generator passes the events on, if it has given its procedure's
   * `signal` to the topic.
   */
  readonly dropped: { readonly conflate: number; readonly dropOldest: number; readonly disconnect: number }
  /** Times that a connection was full, and its subscriptions had to wait for the network, since the start. */
  readonly stalls: number
  /** Tracked events encoded since the start (`misses`), and those whose encoding was remembered (`hits`). */
  readonly encodings: { readonly hits: number; readonly misses: number }
  /**
   * What was compressed since the start, once for all who got it: its bytes before and after. What `compression`
   * leaves as it is, is not counted.
   */
  readonly compression: { readonly bytesIn: number; readonly bytesOut: number }
  /** Generators that did not end within the grace period, since the start. */
  readonly overstayed: number
  /** All refusals since the start. */
  readonly refused: number
  /**
   * The same by the code of the error table that says why: connections turned away or cut off, messages and inputs
   * that broke a limit, or could not be read. A code that has not occurred is missing.
   */
  readonly refusals: Readonly<Refusals>
  /**
   * Delay of the event loop since the last call of `stats()`: what makes everybody wait at once. Null at the first call,
   * which begins to measure; the server's end ends it.
   */
  readonly eventLoop: EventLoopStats | null
  readonly draining: boolean
}

interface Observed {
  readonly connections: Connections
  readonly counters: Counters
  readonly eventLoop: EventLoopDelay
  readonly draining: boolean
}

export function takeStats({ connections, counters, eventLoop, draining }: Observed): SluiceStats {
  const open = { websocket: 0, stream: 0, sse: 0 }
  let bufferedBytes = 0
  for (const connection of connections) {
    open[connection.carrier] += 1
    bufferedBytes += connection.bufferedBytes
  }
  const { subscriptions, messagesIn, bytesIn, eventsOut, bytesOut } = counters
  const { overstayed, stalls, tally } = counters
  const refusals = { ...counters.refusals }
  return {
    connections: open,
    subscriptions,
    subscriptionsByPath: Object.fromEntries([...counters.running].filter(([, count]) => count > 0)),
    bufferedBytes,
    messagesIn,
    bytesIn,
    eventsOut,
    bytesOut,
    subscribers: takeSubscribers(connections),
    resumes: { ...tally.resumes },
    dropped: { ...tally.dropped, disconnect: counters.disconnected },
    stalls,
    encodings: { ...counters.encodings },
    compression: { ...counters.compression },
    overstayed,
    refused: Object.values(refusals).reduce((sum, count) => sum + count, 0),
    refusals,
    eventLoop: eventLoop.take(),
    draining,
  }
}

function takeSubscribers(connections: Connections): SluiceStats['subscribers'] {
  const counted = { live: 0, behind: 0, lag: { total: 0, max: 0, maxMs: 0 } }
  for (const connection of connections) {
    for (const { live, lag, lagMs } of connection.feeding()) {
      counted[live ? 'live' : 'behind'] += 1
      counted.lag.total += lag
      counted.lag.max = Math.max(counted.lag.max, lag)
      counted.lag.maxMs = Math.max(counted.lag.maxMs, lagMs)
    }
  }
  return counted
}
