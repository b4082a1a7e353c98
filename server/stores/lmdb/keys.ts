/**
 * How logs lie in LMDB: one tree, binary keys, the first byte says what a key is.
 *
 *     key                             value
 *     ------------------------------  ------------------------------------------------------------------
 *     h                               Head: layout, number of changes so far, last log id given out
 *     l  name                         LogRow: id, epoch, first and last offset, what time will take from it
 *     r  id  offset                   a record: at, newestAt (8 bytes each), payload
 *     k  id  idempotency key          KeyRow: offset of the first append, until when it is remembered
 *     p  id                           a checkpoint: offset (8 bytes), payload
 *     s  lease name                   LeaseRow: owner, until when
 *     d  at  what  l|s name, k id…    nothing: what falls due at a time, the earliest first
 *     g  id                           GarbageRow: records that no log has any more, still to be deleted
 *     c  slot                         ChangeRow: the n-th change and its log, in a ring of `changeSlots`
 *
 * Names are UTF-8 to the end of the key; id, offset and at are six bytes, most significant first, so that keys sort
 * as numbers do. A log's records are filed under its id, not its name: ids are never used twice, so names that are
 * prefixes of each other can't touch each other's records, and removing a log is one step however long it is.
 * The longest key is the due date of a log with the longest name: 408 bytes, of the 1978 that LMDB allows.
 *
 * Small rows are JSON: a person can look at them, and a later version can add to them.
 */
import type { Epoch, Offset } from '../../../shared/protocol/cursor.ts'

/** The number in the head that says how to read the rest. Another number is another table above. */
export const layout = 1

/** How many changes a watcher in another process may lag behind before it has to look at everything. */
export const changeSlots = 4096

/** Times beyond six bytes (the year 10889) never come. */
export const never = 2 ** 48 - 1

export interface Head {
  readonly layout: number
  changes: number
  lastId: number
}

export interface LogRow {
  readonly id: number
  readonly epoch: Epoch
  first: Offset
  last: Offset
  /** The latest `at` so far: a record is as old as the youngest before it, for records leave in order. */
  newestAt: number
  /** Null: any age. */
  maxAgeMs: number | null
  /** Null: never. */
  expiresAt: number | null
  /** Its key under `d`, no later than anything falls due; null while nothing will. */
  dueAt: number | null
}

export interface KeyRow {
  readonly offset: Offset
  readonly until: number
}

export interface LeaseRow {
  readonly owner: string
  readonly until: number
}

export interface GarbageRow {
  readonly next: Offset
  /** Exclusive. */
  readonly end: Offset
}

export interface ChangeRow {
  readonly change: number
  readonly log: string
}

/** What falls due: a log to shorten or remove, a lease that lapses, an idempotency key to forget. */
export type Due = { readonly at: number } & (
  | { readonly what: 'log'; readonly name: string }
  | { readonly what: 'lease'; readonly name: string }
  | { readonly what: 'key'; readonly id: number; readonly key: string }
)

export const headKey = Buffer.from('h')
export const logKey = (name: string) => Buffer.from(`l${name}`)
export const recordKey = (id: number, offset: Offset) => {
  const key = Buffer.allocUnsafe(13)
  key[0] = kind.record
  key.writeUIntBE(id, 1, 6)
  key.writeUIntBE(offset, 7, 6)
  return key
}
export const idempotencyKey = (id: number, key: string) =>
  Buffer.concat([Buffer.from('k'), six(id), Buffer.from(key)])
export const checkpointKey = (id: number) => Buffer.concat([Buffer.from('p'), six(id)])
export const leaseKey = (name: string) => Buffer.from(`s${name}`)
export const garbageKey = (id: number) => Buffer.concat([Buffer.from('g'), six(id)])
export const changeKey = (change: number) => Buffer.concat([Buffer.from('c'), six(change % changeSlots)])

export function dueKey(due: Due): Buffer {
  const what =
    due.what === 'key'
      ? [Buffer.from('k'), six(due.id), Buffer.from(due.key)]
      : [Buffer.from(due.what === 'log' ? 'l' : 's'), Buffer.from(due.name)]
  return Buffer.concat([Buffer.from('d'), six(due.at), ...what])
}

export function parseDueKey(key: Buffer): Due {
  const at = key.readUIntBE(1, 6)
  if (key[7] === kind.key) {
    return { at, what: 'key', id: key.readUIntBE(8, 6), key: key.toString('utf8', 14) }
  }
  return { at, what: key[7] === kind.log ? 'log' : 'lease', name: key.toString('utf8', 8) }
}

export const parseGarbageKey = (key: Buffer): number => key.readUIntBE(1, 6)

/** From the first due entry to the last that is due by now. */
export const dueRange = (now: number) => ({
  start: Buffer.from('d'),
  end: Buffer.concat([Buffer.from('d'), six(Math.floor(now) + 1)]),
})
export const garbageRange = { start: Buffer.from('g'), end: Buffer.from('h') }

const recordHeadBytes = 16

/** Takes a copy of the payload. `newestAt` is known, and set, only within the transaction. */
export function encodeRecord(at: number, payload: Uint8Array): Buffer {
  const value = Buffer.allocUnsafe(recordHeadBytes + payload.length)
  value.writeDoubleBE(at, 0)
  value.set(payload, recordHeadBytes)
  return value
}

export function setNewestAt(value: Buffer, newestAt: number): void {
  value.writeDoubleBE(newestAt, 8)
}

export const newestAtOf = (value: Buffer): number => value.readDoubleBE(8)

/** The payload is a copy: lmdb may hand out views of memory that it uses again. */
export function decodeRecord(value: Buffer): { at: number; payload: Uint8Array } {
  return { at: value.readDoubleBE(0), payload: new Uint8Array(value.subarray(recordHeadBytes)) }
}

export function encodeCheckpoint(offset: Offset, payload: Uint8Array): Buffer {
  const value = Buffer.allocUnsafe(8 + payload.length)
  value.writeDoubleBE(offset, 0)
  value.set(payload, 8)
  return value
}

export function decodeCheckpoint(value: Buffer): { offset: Offset; payload: Uint8Array } {
  return { offset: value.readDoubleBE(0), payload: new Uint8Array(value.subarray(8)) }
}

export const encodeRow = (row: Head | LogRow | KeyRow | LeaseRow | GarbageRow | ChangeRow): Buffer =>
  Buffer.from(JSON.stringify(row))

/** The type is by the key under which it was found: only this store writes here. */
export const decodeRow = <Row>(value: Buffer | undefined): Row | null =>
  value === undefined ? null : (JSON.parse(value.toString()) as Row)

const kind = { record: 0x72, key: 0x6b, log: 0x6c }

function six(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(6)
  bytes.writeUIntBE(value, 0, 6)
  return bytes
}
