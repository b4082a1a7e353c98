/**
 * The idempotency key of the call that is under way. It comes beside the request (a member of the message, or a
 * header) and not in the input, so that neither schemas nor contexts have to know of it.
 */
import { AsyncLocalStorage } from 'node:async_hooks'

export interface IdempotencyKey {
  readonly value: string
  /** The procedures that were asked for under it: a header is of all that are in its request. */
  readonly paths: readonly string[]
}

const storage = new AsyncLocalStorage<IdempotencyKey | undefined>()

/** The header of a request over HTTP (draft-ietf-httpapi-idempotency-key-header). */
export const idempotencyKeyHeader = 'idempotency-key'

/** Runs what was asked for under a key; without one nothing is stored, and nothing costs. */
export function withIdempotencyKey<Result>(
  value: string | null | undefined,
  paths: readonly string[],
  call: () => Result,
): Result {
  return value === null || value === undefined || value === '' ? call() : storage.run({ value, paths }, call)
}

export function withoutIdempotencyKey<Result>(call: () => Result): Result {
  return storage.run(undefined, call)
}

/** The key of a procedure that was asked for. What that calls in its turn are other requests, which have none. */
export function idempotencyKeyOf(path: string): IdempotencyKey | undefined {
  const key = storage.getStore()
  return key?.paths.includes(path) ? key : undefined
}
