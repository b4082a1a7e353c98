import type { SluiceErrorCode } from '../../shared/errors.ts'

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
  /** What strangers were refused, by the code of the error table that says why. */
  readonly refusals: Refusals
}

export type Refusals = Partial<Record<SluiceErrorCode, number>>

export function createCounters(): Counters {
  return { subscriptions: 0, eventsOut: 0, bytesOut: 0, overstayed: 0, refusals: {} }
}

export function countRefusal(counters: Counters, code: SluiceErrorCode): void {
  counters.refusals[code] = (counters.refusals[code] ?? 0) + 1
}
