/** How long to wait before the next attempt. */

export interface BackoffOptions {
  /** Upper bound of the first delay, in milliseconds; it doubles with each failure. Default 500. */
  readonly baseMs?: number
  /** No delay is longer, in milliseconds. Default 30,000. */
  readonly maxMs?: number
}

export const defaultBackoff = { baseMs: 500, maxMs: 30_000 } as const satisfies BackoffOptions

/**
 * Exponential backoff with full jitter: anything between nothing and a bound that doubles up to a cap. So a thousand
 * clients that were cut at one moment come back evenly spread, and not in waves.
 *
 * @param attempt failures in a row so far.
 * @param random a number in [0, 1).
 */
export function backoffMs(
  attempt: number,
  { baseMs, maxMs }: Required<BackoffOptions>,
  random: number,
): number {
  // 2 ** 1100 is Infinity, and Infinity * 0 would be NaN.
  const bound = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 52))
  return Math.round(random * bound)
}
