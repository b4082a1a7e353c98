/** What a server counts: plain numbers, written where things happen and read by `stats()`. */
export interface Counters {
  /** Subscriptions now running, set-up and clean-up included. */
  subscriptions: number
  /** Events handed to connections. */
  eventsOut: number
  /** Bytes handed to connections: encoded messages, without the framing of the carrier. */
  bytesOut: number
  /** Generators that did not end within the grace period. */
  overstayed: number
  /** Upgrades that were refused: foreign origin, draining. */
  refused: number
}

export function createCounters(): Counters {
  return { subscriptions: 0, eventsOut: 0, bytesOut: 0, overstayed: 0, refused: 0 }
}
