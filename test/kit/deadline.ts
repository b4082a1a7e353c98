/** Waiting for a fact, with a deadline that says what was missing. */

/** How long the kit waits for a fact before it gives up: long for a busy machine, short for a person. */
export const defaultWithinMs = 10_000

export interface EventuallyOptions {
  /** Milliseconds until it gives up; default 10,000. */
  readonly withinMs?: number
  /** What is being waited for, for the message; may be computed when the deadline is missed. */
  readonly what?: string | (() => string)
}

// Cheap facts may be looked at often; nobody notices 5 ms.
const lookEveryMs = 5

/**
 * Looks again and again until `fact` returns something truthy (it may be asynchronous), and returns that.
 *
 * @throws Error when the deadline has passed; what `fact` last threw is its cause.
 * @example
 * ```ts
 * await eventually(() => app.sluice.stats().subscriptions === 0, { what: 'all subscriptions to end' })
 * ```
 */
export async function eventually<T>(
  fact: () => T | PromiseLike<T>,
  options: EventuallyOptions = {},
): Promise<T> {
  const { withinMs = defaultWithinMs, what = 'a fact' } = options
  const until = performance.now() + withinMs
  for (;;) {
    const seen = await look(fact)
    if ('value' in seen && seen.value) return seen.value
    if (performance.now() >= until) {
      const last = 'value' in seen ? `was ${String(seen.value)}` : `threw ${String(seen.thrown)}`
      const wanted = typeof what === 'function' ? what() : what
      throw new Error(`Waited ${withinMs} ms for ${wanted}; at the end it ${last}.`, {
        cause: 'thrown' in seen ? seen.thrown : undefined,
      })
    }
    await new Promise(resolve => setTimeout(resolve, lookEveryMs))
  }
}

async function look<T>(fact: () => T | PromiseLike<T>): Promise<{ value: T } | { thrown: unknown }> {
  try {
    return { value: await fact() }
  } catch (thrown) {
    return { thrown }
  }
}
