/** How long a server that refuses asks to be left alone. */

/** No server's wish makes us wait longer than this. */
const maxRetryAfterMs = 5 * 60_000

/** https://httpwg.org/specs/rfc9110.html#field.retry-after: seconds, or a date. */
export function retryAfterMs(value: string | null, now: number): number | undefined {
  if (value === null) return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - now
  return ms > 0 ? Math.min(ms, maxRetryAfterMs) : undefined
}
