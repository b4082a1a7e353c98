/**
 * Where a subscription begins, for whoever opened it: a client that knows it can resume a subscription that never
 * delivered an event. Said by the iterable that a resolver has returned, and not through what is wrapped around it: an
 * application that wraps it may speak of other places in ids of its own.
 */

/** Under which an iterable says where it begins; null where it does not know. */
export const begins = Symbol('begins')

/** The cursor at which an iterable begins, or `null` where that is not known. */
export function positionOf(iterable: object): Promise<string> | null {
  return (iterable as { readonly [begins]?: () => Promise<string> | null })[begins]?.() ?? null
}
