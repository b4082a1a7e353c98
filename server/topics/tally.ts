/**
 * What topics count. A subscriber that pushes is told by its sink where to. One that is asked item by item does not know
 * who asks: where an application's generator passes its items on, it is found as its stall limit is (stall.ts), by the
 * signal that the procedure was given and has given to the topic.
 */

/** What topics count for whoever they push to: plain numbers, written where things happen. */
export interface Tally {
  /** Subscribers that came back with a cursor, by where their next events were found. */
  readonly resumes: {
    /** In memory, or there was nothing to catch up with. */
    ring: number
    store: number
    /** Nowhere: they were told of a gap, or given a state. */
    missed: number
  }
  /** Events that a reader did not get because it was slow, by its policy. */
  readonly dropped: { conflate: number; dropOldest: number }
}

export function createTally(): Tally {
  return {
    resumes: { ring: 0, store: 0, missed: 0 },
    dropped: { conflate: 0, dropOldest: 0 },
  }
}

const tallies = new WeakMap<AbortSignal, Tally>()

/** Has those count here whose items are asked for by this signal. */
export function countUnder(signal: AbortSignal, tally: Tally): void {
  tallies.set(signal, tally)
}

/** Where those count; undefined where nobody wants to know. */
export function tallyUnder(signal: AbortSignal): Tally | undefined {
  return tallies.get(signal)
}
