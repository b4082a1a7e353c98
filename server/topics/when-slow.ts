/**
 * What a subscription does for a reader that takes events more slowly than they come. None of it strikes one that keeps
 * up: a topic's stream that is returned as it is has all that comes while its connection has room. A generator of the
 * application's that passes events on is behind by those that are there when it asks for the next one; what is published
 * in one turn of the event loop comes to it at once. What is left out there is counted in `stats()` if `subscribe` was
 * given its procedure's `signal`.
 */
import type { Envelope } from './envelope.ts'

export type WhenSlow<Event> =
  /** Everything is delivered, as late as it may be: what waits lies in the ring or in the store. The default. */
  | 'wait'
  /** While the reader is behind, only the latest event of each key is delivered, in the order of the latest ones. */
  | { readonly policy: 'conflate'; readonly by: (event: Event) => string }
  /**
   * A reader that is more than `maxLag` events behind loses the oldest of them, and is told so by a `Gap`. Both count
   * the events of the log, also those that its `filter` would have skipped.
   */
  | { readonly policy: 'drop-oldest'; readonly maxLag: number }
  /**
   * A connection that takes nothing for so long, in milliseconds (and up to a quarter longer), ends the subscription with
   * a `STALLED` error; one that takes slowly does not. Where a generator of the application's passes the events on,
   * `subscribe` must have been given its procedure's `signal`.
   */
  | { readonly policy: 'disconnect'; readonly afterMs: number }

/** @throws RangeError for a bound that makes no sense. */
export function checkWhenSlow(whenSlow: WhenSlow<never>): void {
  if (whenSlow === 'wait' || whenSlow.policy === 'conflate') return
  const [name, value] =
    whenSlow.policy === 'disconnect' ? ['afterMs', whenSlow.afterMs] : ['maxLag', whenSlow.maxLag]
  if (!(value >= 1)) throw new RangeError(`whenSlow.${name} is ${value}; pass a number of at least 1.`)
}

/** The latest event of each key, in the order in which they came. As large as there are keys, whatever is published. */
export class Conflation<Item> {
  readonly #by: (item: Item) => string
  readonly #latest = new Map<string, Envelope<Item>>()

  constructor(by: (item: Item) => string) {
    this.#by = by
  }

  get size(): number {
    return this.#latest.size
  }

  /** The next one that is delivered. */
  get first(): Envelope<Item> | undefined {
    for (const envelope of this.#latest.values()) return envelope
    return undefined
  }

  /** Returns whether it has replaced an earlier one, which nobody gets then. */
  add(envelope: Envelope<Item>): boolean {
    const key = this.#by(envelope[1])
    // Taken out first, for a map keeps the place of a key that it knows: cursors must go up.
    const replaces = this.#latest.delete(key)
    this.#latest.set(key, envelope)
    return replaces
  }

  shift(): Envelope<Item> | undefined {
    for (const [key, envelope] of this.#latest) {
      this.#latest.delete(key)
      return envelope
    }
    return undefined
  }

  clear(): void {
    this.#latest.clear()
  }
}
