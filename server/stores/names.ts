/**
 * What may name a log, a lease or an idempotency key. The same for every store, so that a program which works on one
 * works on another; the bounds are those of the tightest engine (LMDB: 1978 bytes for a whole key).
 */
import { SluiceError, quote } from '../../shared/errors.ts'

const maxLogBytes = 400
const maxLeaseBytes = 400
const maxIdempotencyKeyBytes = 200

// A lone surrogate has no UTF-8 of its own: two names that differ only there would become one on disk.
const unfit = /[\0\p{Surrogate}]/u

/** @throws SluiceError `KEY_INVALID` unless the name is 1 to 400 bytes of UTF-8 without NUL. */
export function checkLogName(log: string): void {
  check('The name of a log', log, maxLogBytes)
}

/** @throws SluiceError `KEY_INVALID` unless the name is 1 to 400 bytes of UTF-8 without NUL. */
export function checkLeaseName(name: string): void {
  check('The name of a lease', name, maxLeaseBytes)
}

/** @throws SluiceError `KEY_INVALID` unless the key is 1 to 200 bytes of UTF-8 without NUL. */
export function checkIdempotencyKey(key: string): void {
  check('An idempotency key', key, maxIdempotencyKeyBytes)
}

function check(what: string, name: string, maxBytes: number): void {
  const bytes = Buffer.byteLength(name)
  if (bytes >= 1 && bytes <= maxBytes && !unfit.test(name)) return
  throw new SluiceError(
    'KEY_INVALID',
    `${what} must be 1 to ${maxBytes} bytes of well-formed UTF-8 without NUL; ${quote(name)} (${bytes} bytes) is not.`,
    { data: { bytes, maxBytes } },
  )
}
