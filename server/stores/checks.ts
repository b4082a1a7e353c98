/**
 * What every store checks before it does anything, so that a program which works on one store works on another.
 * The bounds are those of the tightest engine (LMDB: 1978 bytes for a whole key).
 */
import { SluiceError, quote } from '../../shared/errors.ts'
import type { NewRecord } from './store.ts'

const maxLogBytes = 400
const maxLeaseBytes = 400
const maxIdempotencyKeyBytes = 200

// A lone surrogate has no UTF-8 of its own: two names that differ only there would become one on disk.
const unfit = /[\0\p{Surrogate}]/u

/** @throws SluiceError `KEY_INVALID` unless the name is 1 to 400 bytes of UTF-8 without NUL. */
export function checkLogName(log: string): void {
  checkName('The name of a log', log, maxLogBytes)
}

/** @throws SluiceError `KEY_INVALID` unless the name is 1 to 400 bytes of UTF-8 without NUL. */
export function checkLeaseName(name: string): void {
  checkName('The name of a lease', name, maxLeaseBytes)
}

/**
 * @throws RangeError unless there is at least one record and each has a time.
 * @throws SluiceError `KEY_INVALID` unless idempotency keys are 1 to 200 bytes of UTF-8 without NUL.
 */
export function checkRecords(records: readonly NewRecord[]): void {
  if (records.length === 0) throw new RangeError('append() needs at least one record.')
  for (const { at, idempotencyKey } of records) {
    if (!Number.isFinite(at))
      throw new RangeError(`The time of a record is in ms since the epoch, not ${at}.`)
    if (idempotencyKey === undefined) continue
    checkName('An idempotency key', idempotencyKey, maxIdempotencyKeyBytes)
  }
}

function checkName(what: string, name: string, maxBytes: number): void {
  const bytes = Buffer.byteLength(name)
  if (bytes >= 1 && bytes <= maxBytes && !unfit.test(name)) return
  throw new SluiceError(
    'KEY_INVALID',
    `${what} must be 1 to ${maxBytes} bytes of well-formed UTF-8 without NUL; ${quote(name)} (${bytes} bytes) is not.`,
    { data: { bytes, maxBytes } },
  )
}
