/**
 * How events leave the topics without being asked for, one call per batch and no promise per event. Declared here,
 * implemented above: a hub pushes to the sinks of those who are live, and knows nothing of what is behind them.
 */
import type { Batch } from './batch.ts'
import type { Tally } from './tally.ts'

export interface Sink<Item> {
  /** Takes consecutive items, right after those of the call before. Must not throw. */
  push(batch: Batch<Item>): void
  /** Nothing more comes: the stream has ended by itself or was told to (null), or has failed. Called once. */
  ended(failure: { readonly thrown: unknown } | null): void
  /** A signal after which it calls `return()` by itself, so that the stream need not listen to it. */
  readonly signal?: AbortSignal | undefined
  /** Null while there is room for more; else a promise that settles when there is again, or nobody wants more. */
  readonly room: Promise<void> | null
  /** What there has to leave before there is room; null, or left out, where it waits for something else. */
  readonly outgoing?: Outgoing | null | undefined
  /** How many items it takes while there is room; left out by those who take any batch. */
  readonly capacity?: number
  /** Told, before anything is pushed, whom to ask how far behind it is. */
  readonly fedBy?: (feeding: Feeding) => void
  /** Where to count what becomes of the events; left out by those who do not. */
  readonly tally?: Tally
}

/** What lies before the network of a connection: by it, who takes slowly is told from who takes nothing. */
export interface Outgoing {
  /** How many bytes wait. */
  readonly bufferedBytes: number
  /** How many have left, in a count of its own: what matters is whether it grows. */
  readonly takenBytes: number
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

/** Delivers to a sink until the stream has ended, or was told to by its `return()`. Called at most once. */
export type Feed = (sink: Sink<unknown>) => void

/**
 * Under which an iterable says how it pushes. It answers null through anything but the very object that was made: what
 * is wrapped around it, a proxy say, may change what passes.
 */
export const feeds = Symbol('feeds')

/** How to be pushed to by an iterable, in place of iterating it; `null` where it knows of no such thing. */
export function feedOf(iterable: object): Feed | null {
  return (iterable as { readonly [feeds]?: () => Feed | null })[feeds]?.() ?? null
}
