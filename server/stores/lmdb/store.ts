import { systemClock, type Clock } from '../../../shared/clock.ts'
import { SluiceError, quote } from '../../../shared/errors.ts'
import type { Offset } from '../../../shared/protocol/cursor.ts'
import { checkLeaseName, checkLogName, checkRecords } from '../checks.ts'
import type {
  AppendOptions,
  Appended,
  Checkpoint,
  Covered,
  LogState,
  NewRecord,
  Page,
  ReadBounds,
  Retention,
  Store,
  StoredRecord,
} from '../store.ts'
import { append, encode } from './append.ts'
import {
  checkpointKey,
  decodeCheckpoint,
  decodeRecord,
  decodeRow,
  dueKey,
  encodeCheckpoint,
  encodeRow,
  leaseKey,
  logKey,
  never,
  recordKey,
  type LeaseRow,
  type LogRow,
} from './keys.ts'
import { openDb, type Db, type OpenDb } from './open.ts'
import { stateAt } from './retained.ts'
import { isSweepDue } from './sweep.ts'
import { Tail } from './tail.ts'
import { Writer } from './writer.ts'

export interface LmdbStoreOptions {
  /** The folder of the data, made if it is not there. Several processes of one machine may share it. */
  readonly path: string
  /**
   * How soon a watcher learns of another process's append, in ms. Default 15. Appends of this process are told at
   * once. Polls only while something is watched, once for all watchers: one wake-up and one small read from memory.
   * On a busy virtual machine (Node 20) that is 0.1 to 0.2 ms of CPU each, most of it for waking up; longer is cheaper.
   */
  readonly pollMs?: number
  /**
   * Time for retention, expiry, idempotency keys and leases. Default: the system's; another one is for tests.
   * Processes that share a folder should agree on the time.
   */
  readonly clock?: Clock
}

export interface LmdbStore extends Store {
  /** Since this store was opened: how many transactions were flushed to disk, and how many writes they served. */
  readonly counters: { readonly transactions: number; readonly jobs: number }
}

/**
 * A durable store in a folder on disk: no server, no set-up. An append resolves once it has been flushed to disk, and
 * concurrent ones share a flush. The file grows as needed; the space of what retention dropped is used again.
 *
 * Not for network file systems: LMDB needs the file locks and the memory maps of one machine.
 *
 * @throws SluiceError `STORE_UNAVAILABLE` when the folder can't be used.
 * @example
 * ```ts
 * const store = lmdbStore({ path: './data' })
 * const room = createTopic({ name: 'room', event: RoomEvent, store })
 * ```
 */
export function lmdbStore(options: LmdbStoreOptions): LmdbStore {
  return new FolderStore(options)
}

class FolderStore implements LmdbStore {
  readonly #path: string
  readonly #clock: Clock
  readonly #opened: OpenDb
  readonly #db: Db
  readonly #tail: Tail
  readonly #writer: Writer
  #closing: Promise<void> | null = null

  constructor({ path, pollMs = 15, clock = systemClock }: LmdbStoreOptions) {
    this.#path = path
    this.#clock = clock
    this.#opened = openDb(path)
    this.#db = this.#opened.db
    this.#tail = new Tail(this.#db, pollMs, () => this.#sweepIfDue())
    this.#writer = new Writer(this.#db, clock, changes => this.#tail.onCommit(changes))
    this.#sweepIfDue()
  }

  get counters(): LmdbStore['counters'] {
    return this.#writer.counters
  }

  async append(log: string, records: readonly NewRecord[], options: AppendOptions = {}): Promise<Appended> {
    this.#check(log)
    checkRecords(records)
    const encoded = records.map(encode)
    const bytes = encoded.reduce((sum, { value }) => sum + value.length, 0)
    return this.#writer.run(transaction => append(transaction, log, encoded, options), bytes)
  }

  async describe(log: string): Promise<LogState | null> {
    return this.#find(log).state
  }

  async read(log: string, after: Offset, bounds: ReadBounds): Promise<Page> {
    const { row, state } = this.#find(log)
    if (!row || !state) return { state: null, records: [] }
    return { state, records: this.#page(row, Math.max(after + 1, state.first), state.last, 1, bounds) }
  }

  async readBefore(log: string, before: Offset, bounds: ReadBounds): Promise<Page> {
    const { row, state } = this.#find(log)
    if (!row || !state) return { state: null, records: [] }
    const newestFirst = this.#page(row, Math.min(before - 1, state.last), state.first, -1, bounds)
    return { state, records: newestFirst.toReversed() }
  }

  watch(log: string, onChange: () => void): () => void {
    this.#check(log)
    return this.#tail.watch(log, onChange)
  }

  async trim(log: string, retain: Retention, covered?: Covered): Promise<void> {
    this.#check(log)
    return this.#writer.run(transaction => {
      const row = transaction.find(log)
      if (row) transaction.retain(log, row, retain, covered)
    })
  }

  async remove(log: string): Promise<void> {
    this.#check(log)
    return this.#writer.run(transaction => {
      const row = transaction.find(log)
      if (row) transaction.remove(log, row)
    })
  }

  async expire(log: string, at: number): Promise<void> {
    this.#check(log)
    return this.#writer.run(transaction => {
      const row = transaction.find(log)
      if (row) transaction.expire(log, row, at)
    })
  }

  async saveCheckpoint(log: string, { epoch, offset, payload }: Checkpoint): Promise<void> {
    this.#check(log)
    const value = encodeCheckpoint(offset, payload)
    return this.#writer.run(transaction => {
      const row = transaction.find(log)
      if (row?.epoch !== epoch) return
      const saved = this.#db.get(checkpointKey(row.id))
      if (saved && decodeCheckpoint(saved).offset > offset) return
      void this.#db.put(checkpointKey(row.id), value)
    }, value.length)
  }

  async loadCheckpoint(log: string): Promise<Checkpoint | null> {
    const { row, state } = this.#find(log)
    const value = row && state ? this.#db.get(checkpointKey(row.id)) : undefined
    return row && value ? { epoch: row.epoch, ...decodeCheckpoint(value) } : null
  }

  async acquireLease(name: string, owner: string, ttlMs: number): Promise<boolean> {
    this.#assertOpen()
    checkLeaseName(name)
    return this.#writer.run(({ now }) => {
      const held = decodeRow<LeaseRow>(this.#db.get(leaseKey(name)))
      if (held && held.owner !== owner && held.until > now) return false
      const until = Math.min(Math.ceil(now + ttlMs), never)
      if (held) void this.#db.remove(dueKey({ at: held.until, what: 'lease', name }))
      void this.#db.put(leaseKey(name), encodeRow({ owner, until }))
      void this.#db.put(dueKey({ at: until, what: 'lease', name }), Buffer.alloc(0))
      return true
    })
  }

  async releaseLease(name: string, owner: string): Promise<void> {
    this.#assertOpen()
    checkLeaseName(name)
    return this.#writer.run(() => {
      const held = decodeRow<LeaseRow>(this.#db.get(leaseKey(name)))
      if (held?.owner !== owner) return
      void this.#db.remove(leaseKey(name))
      void this.#db.remove(dueKey({ at: held.until, what: 'lease', name }))
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#tail.close()
    await this.#writer.close()
    await this.#opened.close()
  }

  #check(log: string): void {
    this.#assertOpen()
    checkLogName(log)
  }

  #assertOpen(): void {
    if (!this.#closing) return
    throw new SluiceError('STORE_CLOSED', `The LMDB store in ${quote(this.#path, 200)} was closed.`)
  }

  /** The log in a snapshot of now; what is read from the database in the same turn is of the same snapshot. */
  #find(log: string): { row: LogRow | null; state: LogState | null } {
    this.#check(log)
    this.#db.resetReadTxn()
    const row = decodeRow<LogRow>(this.#db.get(logKey(log)))
    if (!row) return { row, state: null }
    const now = Math.floor(this.#clock.now())
    if (row.dueAt !== null && row.dueAt <= now) this.#writer.sweepSoon()
    return { row, state: stateAt(this.#db, row, now) }
  }

  #page(row: LogRow, from: Offset, to: Offset, step: 1 | -1, bounds: ReadBounds): StoredRecord[] {
    const records: StoredRecord[] = []
    let bytes = 0
    for (let offset = from; step * (to - offset) >= 0; offset += step) {
      if (records.length > 0 && (records.length >= bounds.maxEvents || bytes >= bounds.maxBytes)) break
      const value = this.#db.get(recordKey(row.id, offset))
      if (!value) throw new Error(`Offset ${offset} of log ${row.id} is missing.`)
      const record = { offset, ...decodeRecord(value) }
      records.push(record)
      bytes += record.payload.length
    }
    return records
  }

  #sweepIfDue(): void {
    this.#db.resetReadTxn()
    if (isSweepDue(this.#db, this.#clock.now())) this.#writer.sweepSoon()
  }
}
