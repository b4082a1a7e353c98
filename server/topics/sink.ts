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
