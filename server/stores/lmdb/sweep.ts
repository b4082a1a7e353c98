/**
 * Does a little of what time asks for, at the end of each write transaction: logs that nobody touches get shorter or
 * go, lapsed leases and forgotten idempotency keys are deleted, and so are records that no log has any more. Each step
 * is bounded, so that a large backlog never holds up an append.
 */
import {
  decodeRow,
  dueKey,
  dueRange,
  garbageKey,
  garbageRange,
  idempotencyKey,
  leaseKey,
  parseDueKey,
  parseGarbageKey,
  type Due,
  type GarbageRow,
  type KeyRow,
  type LeaseRow,
} from './keys.ts'
import type { Db } from './open.ts'
import type { WriteTransaction } from './transaction.ts'

const logsPerStep = 8

/**
 * @param maxDue how many due entries to deal with; more than a transaction adds, or they would pile up.
 * @returns whether there may be more to do.
 */
export function sweep(transaction: WriteTransaction, maxDue: number): boolean {
  const { db, now } = transaction
  // Both ranges are read to their end before anything is written: a cursor does not outlive a change well.
  const due = [...db.getKeys({ ...dueRange(now), limit: maxDue })].map(parseDueKey)
  for (const entry of due) settle(transaction, entry)
  const garbage = [...db.getKeys({ ...garbageRange, limit: logsPerStep })].map(parseGarbageKey)
  let more = due.length === maxDue || garbage.length === logsPerStep
  for (const id of garbage) {
    const row = decodeRow<GarbageRow>(db.get(garbageKey(id)))
    if (row && !transaction.collect(id, row)) more = true
  }
  return more
}

/** Whether a sweep would find something to do. */
export function isSweepDue(db: Db, now: number): boolean {
  for (const range of [dueRange(now), garbageRange]) {
    for (const _key of db.getKeys({ ...range, limit: 1 })) return true
  }
  return false
}

function settle(transaction: WriteTransaction, due: Due): void {
  const { db } = transaction
  switch (due.what) {
    case 'log': {
      // Finding it does what is due, and moves the entry. One that no row stands behind is just deleted.
      const row = transaction.find(due.name)
      if (row?.dueAt !== due.at) void db.remove(dueKey(due))
      return
    }
    case 'lease': {
      const lease = decodeRow<LeaseRow>(db.get(leaseKey(due.name)))
      if (lease?.until === due.at) void db.remove(leaseKey(due.name))
      void db.remove(dueKey(due))
      return
    }
    case 'key': {
      const key = idempotencyKey(due.id, due.key)
      if (decodeRow<KeyRow>(db.get(key))?.until === due.at) void db.remove(key)
      void db.remove(dueKey(due))
      return
    }
    default:
      due satisfies never
  }
}
