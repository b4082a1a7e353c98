/**
 * The idempotency key of the call that is under way. It comes beside the request (a member of the message, or a
 * header) and not in the input, so that neither schemas nor contexts have to know of it.
 */
import { AsyncLocalStorage } from 'node:async_hooks'

const storage = new AsyncLocalStorage<string | undefined>()

/** The header of a request over HTTP (draft-ietf-httpapi-idempotency-key-header). */
export const idempotencyKeyHeader = 'idempotency-key'

/** Runs a call under a key; without one nothing is stored, and nothing costs. */
export function withIdempotencyKey<Result>(key: string | null | undefined, call: () => Result): Result {
  return key === null || key === undefined || key === '' ? call() : storage.run(key, call)
}

export function withoutIdempotencyKey<Result>(call: () => Result): Result {
  return storage.run(undefined, call)
}

export function currentIdempotencyKey(): string | undefined {
  return storage.getStore()
}
