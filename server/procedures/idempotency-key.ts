/**
 * The idempotency key of the call that is under way. It comes beside the request (a member of the message, or a
 * header) and not in the input, so that neither schemas nor contexts have to know of it.
 */
import { AsyncLocalStorage } from 'node:async_hooks'

export interface IdempotencyKey {
  readonly value: string
  /** How many calls came under it: a header is of all that are in its request. */
  readonly calls: number
}

const storage = new AsyncLocalStorage<IdempotencyKey | undefined>()

/** The header of a request over HTTP (draft-ietf-httpapi-idempotency-key-header). */
export const idempotencyKeyHeader = 'idempotency-key'

/** Runs so many calls under a key; without one nothing is stored, and nothing costs. */
export function withIdempotencyKey<Result>(
  value: string | null | undefined,
  call: () => Result,
  calls = 1,
): Result {
  return value === null || value === undefined || value === '' ? call() : storage.run({ value, calls }, call)
}

export function withoutIdempotencyKey<Result>(call: () => Result): Result {
  return storage.run(undefined, call)
}

export function currentIdempotencyKey(): IdempotencyKey | undefined {
  return storage.getStore()
}
