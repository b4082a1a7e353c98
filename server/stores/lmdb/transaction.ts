/**
 * One write transaction, shared by all that was asked for since the last one. It reads each log's row once, writes it
 * once at the end, and notes each changed log once, however many appends there were. What time has taken from a log
 * is gone before anybody gets to see its row.
 */
import { createEpoch, type Offset } from '../../../shared/protocol/cursor.ts'
import type { Covered, Retention } from '../store.ts'
import {
  changeKey,
  checkpointKey,
  decodeRow,
  dueKey,
  encodeRow,
  garbageKey,
  headKey,
  layout,
  logKey,
  never,
  recordKey,
  setNewestAt,
  type GarbageRow,
  type Head,
  type LogRow,
} from './keys.ts'
import type { Db } from './open.ts'
import { dueOf, stateAt } from './retained.ts'

/** The changes that a transaction made: those after `from`, up to and including `to`, one for each of `logs`. */
export interface Changes {
  readonly from: number
  readonly to: number
  readonly logs: readonly string[]
}

export class WriteTransaction {
  readonly db: Db
  readonly now: number
  readonly #head: Head
  readonly #rows = new Map<string, LogRow | null>()
  /** Rows to be written at the end. */
  readonly #dirty = new Set<string>()
  /** Rows whose due date is to be worked out anew at the end. */
  readonly #undated = new Set<string>()
  /** Logs whose watchers are to be called. */
  readonly #changed = new Set<string>()
  /** How many records this transaction may still delete; the rest is left to later ones. */
  #deletions = 256

  constructor(db: Db, now: number) {
    this.db = db
    this.now = now
    this.#head = decodeRow<Head>(db.get(headKey)) ?? { layout, changes: 0, lastId: 0 }
  }

  /** The log as it is now. The row may be changed by the methods below only. */
  find(name: string): LogRow | null {
    const seen = this.#rows.get(name)
    if (seen !== undefined) return seen
    const row = decodeRow<LogRow>(this.db.get(logKey(name)))
    this.#rows.set(name, row)
    if (row && row.dueAt !== null && row.dueAt <= this.now) this.#settle(name, row)
    return this.#rows.get(name) ?? null
  }

  create(name: string): LogRow {
    const row: LogRow = {
      id: ++this.#head.lastId,
      epoch: createEpoch(),
      first: 1,
      last: 0,
      newestAt: -Infinity,
      maxAgeMs: null,
      expiresAt: null,
      dueAt: null,
    }
    this.#rows.set(name, row)
    return row
  }

  /** Writes an encoded record at the end of the log. */
  append(name: string, row: LogRow, at: number, value: Buffer): Offset {
    if (row.first > row.last) this.#undated.add(name)
    row.last += 1
    row.newestAt = Math.max(row.newestAt, at)
    setNewestAt(value, row.newestAt)
    void this.db.put(recordKey(row.id, row.last), value)
    // Each record that comes lets two old ones go, so that a backlog shrinks under load instead of growing.
    this.#deletions += 2
    this.#touch(name)
    return row.last
  }

  retain(name: string, row: LogRow, retention: Retention, covered?: Covered): void {
    const upTo = !covered ? Infinity : covered.epoch === row.epoch ? covered.offset : 0
    const { maxEvents = Infinity, maxAgeMs = Infinity } = retention
    this.#dropBefore(row, Math.min(row.last - maxEvents, upTo) + 1)
    const age = maxAgeMs === Infinity ? null : maxAgeMs
    if (row.maxAgeMs !== age) {
      row.maxAgeMs = age
      row.dueAt = this.#redate(name, row)
      if (row.dueAt !== null && row.dueAt <= this.now) this.#settle(name, row)
    }
    this.#touch(name)
  }

  expire(name: string, row: LogRow, at: number): void {
    row.expiresAt = at >= never ? null : Math.max(0, Math.ceil(at))
    if (row.expiresAt !== null && row.expiresAt <= this.now) return this.remove(name, row)
    this.#undated.add(name)
    this.#dirty.add(name)
  }

  remove(name: string, row: LogRow): void {
    this.#dropBefore(row, row.last + 1)
    void this.db.remove(logKey(name))
    void this.db.remove(checkpointKey(row.id))
    if (row.dueAt !== null) void this.db.remove(dueKey({ at: row.dueAt, what: 'log', name }))
    this.#rows.set(name, null)
    this.#dirty.delete(name)
    this.#undated.delete(name)
    this.#changed.add(name)
  }

  /** Deletes the records of a garbage row, as many as this transaction may; true when none is left. */
  collect(id: number, { next, end }: GarbageRow): boolean {
    const reached = this.#deleteRecords(id, next, end)
    if (reached === end) void this.db.remove(garbageKey(id))
    else void this.db.put(garbageKey(id), encodeRow({ next: reached, end }))
    return reached === end
  }

  /** Writes the rows and the changes. Nothing may be done with this transaction afterwards. */
  finish(): Changes {
    const { changes: from, lastId } = this.#head
    for (const name of this.#dirty) {
      const row = this.#rows.get(name)
      if (!row) throw new Error(`Log "${name}" is both gone and to be written.`)
      if (this.#undated.has(name)) row.dueAt = this.#redate(name, row)
      void this.db.put(logKey(name), encodeRow(row))
    }
    for (const log of this.#changed) {
      const change = ++this.#head.changes
      void this.db.put(changeKey(change), encodeRow({ change, log }))
    }
    if (this.#head.changes !== from || lastId !== this.#head.lastId) {
      void this.db.put(headKey, encodeRow(this.#head))
    }
    return { from, to: this.#head.changes, logs: [...this.#changed] }
  }

  /** Does to a log what has become due. */
  #settle(name: string, row: LogRow): void {
    const state = stateAt(this.db, row, this.now)
    if (!state) return this.remove(name, row)
    if (state.first > row.first) {
      this.#dropBefore(row, state.first)
      this.#changed.add(name)
    }
    this.#undated.add(name)
    this.#dirty.add(name)
  }

  #touch(name: string): void {
    this.#dirty.add(name)
    this.#changed.add(name)
  }

  /** Moves the log's entry under `d` to where it belongs. */
  #redate(name: string, row: LogRow): number | null {
    const due = dueOf(this.db, row)
    const at = due >= never ? null : Math.max(0, due)
    if (at === row.dueAt) return at
    if (row.dueAt !== null) void this.db.remove(dueKey({ at: row.dueAt, what: 'log', name }))
    if (at !== null) void this.db.put(dueKey({ at, what: 'log', name }), empty)
    return at
  }

  #dropBefore(row: LogRow, first: Offset): void {
    if (first <= row.first) return
    const dropped = { next: row.first, end: first }
    row.first = first
    const waiting = decodeRow<GarbageRow>(this.db.get(garbageKey(row.id)))
    if (waiting) return void this.db.put(garbageKey(row.id), encodeRow({ next: waiting.next, end: first }))
    const reached = this.#deleteRecords(row.id, dropped.next, dropped.end)
    if (reached < first) void this.db.put(garbageKey(row.id), encodeRow({ next: reached, end: first }))
  }

  /** @returns the first offset that it did not get to. */
  #deleteRecords(id: number, next: Offset, end: Offset): Offset {
    const reached = Math.min(end, next + this.#deletions)
    for (let offset = next; offset < reached; offset++) void this.db.remove(recordKey(id, offset))
    this.#deletions -= reached - next
    return reached
  }
}

const empty = Buffer.alloc(0)
