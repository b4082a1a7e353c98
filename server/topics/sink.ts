/**
 * How events leave the topics without being asked for, one call per batch and no promise per event. Declared here,
 * implemented above: a hub pushes to the sinks of those who are live, and knows nothing of what is behind them.
 */
import type { Batch } from './batch.ts'

export interface Sink<Item> {
  /** Takes consecutive items, right after those of the call before. Must not throw. */
  push(batch: Batch<Item>): void
  /** Null while there is room for more; else a promise that settles when there is again, or nobody wants more. */
  readonly room: Promise<void> | null
  /** How many items it takes while there is room; left out by those who take any batch. */
  readonly capacity?: number
  /** Told, before anything is pushed, whom to ask how far behind it is. */
  readonly fedBy?: (feeding: Feeding) => void
  /** Where to count what becomes of the events; left out by those who do not. */
  readonly tally?: Tally
}

/** What topics count for whoever they push to: plain numbers, written where things happen. */
export interface Tally {
  /** Those who are being pushed to: asked when somebody looks, so that keeping them costs nothing per event. */
  readonly feeding: Set<Feeding>
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

/** One who is being pushed to. */
export interface Feeding {
  /** In the hub's loop; else it is behind, and reads from the ring or the store. */
  readonly live: boolean
  /** How many events of its log it has not been given yet. */
  readonly lag: number
  /** How long ago the first of them was appended, in milliseconds; 0 without any. */
  readonly lagMs: number
}

export function createTally(): Tally {
  return {
    feeding: new Set(),
    resumes: { ring: 0, store: 0, missed: 0 },
    dropped: { conflate: 0, dropOldest: 0 },
  }
}

/** Delivers to a sink until the stream has ended, or was told to by its `return()`. Rejects as the iteration would. */
export type Feed<Item> = (sink: Sink<Item>) => Promise<void>

const feeds = new WeakMap<object, Feed<unknown>>()

/** Declares that an iterable can also push. */
export function declareFeed(iterable: object, feed: Feed<unknown>): void {
  feeds.set(iterable, feed)
}

/** How to be pushed to by an iterable, in place of iterating it; `null` where it knows of no such thing. */
export function feedOf(iterable: object): Feed<unknown> | null {
  return feeds.get(iterable) ?? null
}
