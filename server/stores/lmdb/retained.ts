/** What time has left of a log at a moment, whether or not anybody has deleted the rest yet. */
import type { LogState } from '../store.ts'
import { newestAtOf, recordKey, type LogRow } from './keys.ts'
import type { Db } from './open.ts'

/** Null when the log has expired. */
export function stateAt(db: Db, row: LogRow, now: number): LogState | null {
  const { epoch, last } = row
  if (row.expiresAt !== null && row.expiresAt <= now) return null
  const isUntouched = row.dueAt === null || row.dueAt > now
  return { epoch, first: isUntouched ? row.first : firstYoungEnough(db, row, now), last }
}

/** When the next thing falls due for this log, in whole ms; `Infinity` for nothing. */
export function dueOf(db: Db, row: LogRow): number {
  const oldest = row.maxAgeMs === null || row.first > row.last ? null : newestAt(db, row, row.first)
  // A record is dropped when it is older than maxAgeMs, hence the millisecond more.
  const aged = oldest === null || row.maxAgeMs === null ? Infinity : Math.floor(oldest + row.maxAgeMs) + 1
  return Math.min(row.expiresAt ?? Infinity, aged)
}

/** By bisection: `newestAt` never falls from one record to the next, and a backlog may be long. */
function firstYoungEnough(db: Db, row: LogRow, now: number): number {
  if (row.maxAgeMs === null) return row.first
  const oldestKept = now - row.maxAgeMs
  let first = row.first
  let end = row.last + 1
  while (first < end) {
    const middle = Math.floor((first + end) / 2)
    if (newestAt(db, row, middle) < oldestKept) first = middle + 1
    else end = middle
  }
  return first
}

function newestAt(db: Db, row: LogRow, offset: number): number {
  const value = db.get(recordKey(row.id, offset))
  if (!value)
    throw new Error(`Offset ${offset} of log ${row.id} is missing between ${row.first} and ${row.last}.`)
  return newestAtOf(value)
}
