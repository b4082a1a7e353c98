import type { SluiceErrorCode } from '../../shared/errors.ts'
import { createTally, type Tally } from '../topics/tally.ts'

/** What a server counts: plain numbers, written where things happen and read by `stats()`. */
export interface Counters {
  /** Subscriptions now running, set-up and clean-up included. */
  subscriptions: number
  /** Of these, the ones that have been set up, by the path of their procedure; none is 0 or missing. */
  readonly running: Map<string, number>
  /** Messages received over WebSockets, without heartbeats. */
  messagesIn: number
  /** Bytes of messages received over WebSockets. */
  bytesIn: number
  /** Events handed to connections. */
  eventsOut: number
  /** Bytes handed to connections: encoded messages, without the framing of the carrier. */
  bytesOut: number
  /** Generators that did not end within the grace period. */
  overstayed: number
  /** Times that a connection came over its high-water mark because the network did not take what it had. */
  stalls: number
  /** Subscriptions ended by their policy because the connection took nothing. */
  disconnected: number
  /** Tracked events that were on their way out, by whether what they look like on the wire was remembered. */
  readonly encodings: { hits: number; misses: number }
  /** What was compressed, once for all who got it: its bytes before and after. */
  readonly compression: { bytesIn: number; bytesOut: number }
  /** What topics tell of those whom they push to. */
  readonly tally: Tally
  /** What strangers were refused, by the code of the error table that says why. */
  readonly refusals: Refusals
}

export type Refusals = Partial<Record<SluiceErrorCode, number>>

export function createCounters(): Counters {
  return {
    subscriptions: 0,
    running: new Map(),
    messagesIn: 0,
    bytesIn: 0,
    eventsOut: 0,
    bytesOut: 0,
    overstayed: 0,
    stalls: 0,
    disconnected: 0,
    encodings: { hits: 0, misses: 0 },
    compression: { bytesIn: 0, bytesOut: 0 },
    tally: createTally(),
    refusals: {},
  }
}

export function countRefusal(counters: Counters, code: SluiceErrorCode): void {
  counters.refusals[code] = (counters.refusals[code] ?? 0) + 1
}

/** Has a parser read what a stranger has sent, and counts what it throws for. */
export function countInvalid<T>(counters: Counters, parse: () => T): T {
  try {
    return parse()
  } catch (thrown) {
    countRefusal(counters, 'MESSAGE_INVALID')
    throw thrown
  }
}

export function countRunning({ running }: Counters, path: string, by: 1 | -1): void {
  running.set(path, (running.get(path) ?? 0) + by)
}
