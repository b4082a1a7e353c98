/**
 * Where a subscription begins, for whoever opened it: a client that knows it can resume a subscription that never
 * delivered an event. Declared by the iterable's maker, looked up by the session when a resolver has returned that
 * very iterable, unwrapped: an application that wraps it may speak of other places in ids of its own.
 */
const positions = new WeakMap<object, () => Promise<string>>()

/** Declares how to learn the position of an iterable. */
export function declarePosition(iterable: object, position: () => Promise<string>): void {
  positions.set(iterable, position)
}

/** The cursor at which an iterable begins, or `null` where that is not known. */
export function positionOf(iterable: object): Promise<string> | null {
  return positions.get(iterable)?.() ?? null
}
