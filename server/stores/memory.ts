/**
 * The simplest store that keeps the guarantees of store.ts: for tests, and for a single process whose streams need
 * not outlive it. Logs are arrays; a log that has something to drop later (by age, by expiry, or a remembered
 * idempotency key) holds one timer for the earliest of it, and is also brought up to date whenever it is touched.
 */
import { systemClock, type Clock, type Timer } from '../../shared/clock.ts'
import { SluiceError, quote } from '../../shared/errors.ts'
import { createEpoch, type Epoch, type Offset } from '../../shared/protocol/cursor.ts'
import { checkLeaseName, checkLogName, checkRecords } from './checks.ts'
import {
  defaultDedupWindowMs,
  type AppendOptions,
  type Appended,
  type Checkpoint,
  type Covered,
  type LogState,
  type NewRecord,
  type Page,
  type ReadBounds,
  type Retention,
  type Store,
  type StoredRecord,
} from './store.ts'
import { Watchers } from './watchers.ts'

export interface MemoryStoreOptions {
  /** Time for retention, expiry, idempotency keys and leases. Default: the system's. */
  readonly clock?: Clock
}

/**
 * A store in the memory of this process. It is gone with the process; each `memoryStore()` is a world of its own.
 *
 * @example
 * ```ts
 * const room = createTopic({ name: 'room', event: RoomEvent, store: memoryStore() })
 * ```
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  return new MemoryStore(options.clock ?? systemClock)
}

interface Log {
  readonly epoch: Epoch
  last: Offset
  /** The retained records are those from `dropped` on; what lies before goes with the next compaction. */
  records: Aged[]
  dropped: number
  /** The latest `at` so far: a record is as old as the youngest before it, for records leave in order. */
  newestAt: number
  maxAgeMs: number
  expiresAt: number
  readonly keys: Map<string, { readonly offset: Offset; readonly until: number }>
  checkpoint: Checkpoint | null
  timer: { readonly at: number; readonly timer: Timer } | null
}

interface Aged extends StoredRecord {
  readonly newestAt: number
}

class MemoryStore implements Store {
  readonly #clock: Clock
  readonly #logs = new Map<string, Log>()
  readonly #leases = new Map<string, { readonly owner: string; readonly until: number }>()
  readonly #watchers = new Watchers()
  #closed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async append(log: string, records: readonly NewRecord[], options: AppendOptions = {}): Promise<Appended> {
    const known = this.#current(log)
    checkRecords(records)
    const now = this.#clock.now()
    const last = known?.last ?? 0
    const { expectLast = last } = options
    if (expectLast !== last && !records.every(record => known && firstOffset(known, record, now))) {
      throw new SluiceError(
        'CONFLICT',
        `Log ${quote(log)} ends at offset ${last}, not at ${expectLast} as expected. Nothing was appended.`,
        { data: { last, expected: expectLast } },
      )
    }

    const target = known ?? newLog()
    if (!known) this.#logs.set(log, target)
    const offsets: Offset[] = []
    const duplicates: boolean[] = []
    const until = now + (options.dedupWindowMs ?? defaultDedupWindowMs)
    for (const record of records) {
      const first = firstOffset(target, record, now)
      offsets.push(first ?? target.last + 1)
      duplicates.push(first !== undefined)
      if (first !== undefined) continue
      const { payload, at, idempotencyKey } = record
      target.last += 1
      target.newestAt = Math.max(target.newestAt, at)
      // A plain copy: what the caller does to its buffer afterwards is its own affair.
      target.records.push({
        offset: target.last,
        at,
        payload: new Uint8Array(payload),
        newestAt: target.newestAt,
      })
      if (idempotencyKey === undefined) continue
      target.keys.delete(idempotencyKey)
      target.keys.set(idempotencyKey, { offset: target.last, until })
    }
    if (options.retain) retain(target, options.retain)
    this.#settle(log, target)
    this.#watchers.notify(log)
    return { epoch: target.epoch, offsets, duplicates }
  }

  async describe(log: string): Promise<LogState | null> {
    const found = this.#current(log)
    return found ? stateOf(found) : null
  }

  async read(log: string, after: Offset, bounds: ReadBounds): Promise<Page> {
    const found = this.#current(log)
    if (!found) return { state: null, records: [] }
    const state = stateOf(found)
    const records: StoredRecord[] = []
    let bytes = 0
    for (let offset = Math.max(after + 1, state.first); offset <= state.last; offset++) {
      if (records.length > 0 && (records.length >= bounds.maxEvents || bytes >= bounds.maxBytes)) break
      const record = recordAt(found, offset)
      records.push(copyOf(record))
      bytes += record.payload.length
    }
    return { state, records }
  }

  async readBefore(log: string, before: Offset, bounds: ReadBounds): Promise<Page> {
    const found = this.#current(log)
    if (!found) return { state: null, records: [] }
    const state = stateOf(found)
    const records: StoredRecord[] = []
    let bytes = 0
    for (let offset = Math.min(before - 1, state.last); offset >= state.first; offset--) {
      if (records.length > 0 && (records.length >= bounds.maxEvents || bytes >= bounds.maxBytes)) break
      const record = recordAt(found, offset)
      records.push(copyOf(record))
      bytes += record.payload.length
    }
    return { state, records: records.toReversed() }
  }

  watch(log: string, onChange: () => void): () => void {
    this.#assertOpen()
    checkLogName(log)
    return this.#watchers.add(log, onChange)
  }

  async trim(log: string, retention: Retention, covered?: Covered): Promise<void> {
    const found = this.#current(log)
    if (!found) return
    retain(found, retention, covered)
    this.#settle(log, found)
    this.#watchers.notify(log)
  }

  async remove(log: string): Promise<void> {
    const found = this.#current(log)
    if (found) this.#delete(log, found)
  }

  async expire(log: string, at: number): Promise<void> {
    const found = this.#current(log)
    if (!found) return
    found.expiresAt = at
    this.#settle(log, found)
  }

  async saveCheckpoint(log: string, checkpoint: Checkpoint): Promise<void> {
    const found = this.#current(log)
    if (!found || found.epoch !== checkpoint.epoch) return
    if (found.checkpoint && found.checkpoint.offset > checkpoint.offset) return
    found.checkpoint = { ...checkpoint, payload: new Uint8Array(checkpoint.payload) }
  }

  async loadCheckpoint(log: string): Promise<Checkpoint | null> {
    const checkpoint = this.#current(log)?.checkpoint
    return checkpoint ? { ...checkpoint, payload: new Uint8Array(checkpoint.payload) } : null
  }

  async acquireLease(name: string, owner: string, ttlMs: number): Promise<boolean> {
    this.#assertOpen()
    checkLeaseName(name)
    const now = this.#clock.now()
    const held = this.#leases.get(name)
    if (held && held.owner !== owner && held.until > now) return false
    // Renewed leases go to the end, so that those of owners who are gone gather in front.
    this.#leases.delete(name)
    for (const [lapsed, { until }] of this.#leases) {
      if (until > now) break
      this.#leases.delete(lapsed)
    }
    this.#leases.set(name, { owner, until: now + ttlMs })
    return true
  }

  async releaseLease(name: string, owner: string): Promise<void> {
    this.#assertOpen()
    checkLeaseName(name)
    if (this.#leases.get(name)?.owner === owner) this.#leases.delete(name)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#watchers.clear()
    for (const log of this.#logs.values()) log.timer?.timer.cancel()
    this.#logs.clear()
    this.#leases.clear()
  }

  #assertOpen(): void {
    if (this.#closed) throw new SluiceError('STORE_CLOSED', 'The memory store was closed.')
  }

  /** The log as it is now, with what time has taken already gone. */
  #current(log: string): Log | undefined {
    this.#assertOpen()
    checkLogName(log)
    const found = this.#logs.get(log)
    if (found) this.#settle(log, found)
    return this.#logs.get(log)
  }

  /** Does what has become due, and arms the timer for what comes next. */
  #settle(name: string, log: Log): void {
    const now = this.#clock.now()
    if (log.expiresAt <= now) return this.#delete(name, log)

    const dropped = log.dropped
    dropWhile(log, record => record.newestAt < now - log.maxAgeMs)
    if (log.dropped !== dropped) this.#watchers.notify(name)
    // In the order of their appends: one that lapses before an older one is only let go of after it.
    for (const [key, { until }] of log.keys) {
      if (until > now) break
      log.keys.delete(key)
    }
    compact(log)

    const [oldestKey] = log.keys.values()
    const oldest = log.records[log.dropped]
    // A record is dropped when it is older than maxAgeMs, hence the millisecond more.
    const aged = oldest ? oldest.newestAt + log.maxAgeMs + 1 : Infinity
    const due = Math.min(log.expiresAt, aged, oldestKey?.until ?? Infinity)
    if (due === Infinity || (log.timer && log.timer.at <= due)) return
    log.timer?.timer.cancel()
    const timer = this.#clock.after(due - now, () => {
      log.timer = null
      if (this.#logs.get(name) === log) this.#settle(name, log)
    })
    log.timer = { at: due, timer }
  }

  #delete(name: string, log: Log): void {
    log.timer?.timer.cancel()
    this.#logs.delete(name)
    this.#watchers.notify(name)
  }
}

function newLog(): Log {
  return {
    epoch: createEpoch(),
    last: 0,
    records: [],
    dropped: 0,
    newestAt: -Infinity,
    maxAgeMs: Infinity,
    expiresAt: Infinity,
    keys: new Map(),
    checkpoint: null,
    timer: null,
  }
}

function stateOf(log: Log): LogState {
  return { epoch: log.epoch, first: log.records[log.dropped]?.offset ?? log.last + 1, last: log.last }
}

/** Where a record with this idempotency key already is, if it is remembered. */
function firstOffset(log: Log, { idempotencyKey }: NewRecord, now: number): Offset | undefined {
  const known = idempotencyKey === undefined ? undefined : log.keys.get(idempotencyKey)
  return known && known.until > now ? known.offset : undefined
}

function recordAt(log: Log, offset: Offset): StoredRecord {
  const record = log.records[log.records.length - 1 - (log.last - offset)]
  if (!record) throw new Error(`Offset ${offset} is missing from a log that ends at ${log.last}.`)
  return record
}

function copyOf({ offset, at, payload }: StoredRecord): StoredRecord {
  return { offset, at, payload: new Uint8Array(payload) }
}

/** Applies the bound on the number now; the one on the age is applied by the settling that follows, and later. */
function retain(log: Log, retention: Retention, covered?: Covered): void {
  const upTo = !covered ? Infinity : covered.epoch === log.epoch ? covered.offset : 0
  const { maxEvents = Infinity, maxAgeMs = Infinity } = retention
  const lastDropped = Math.min(log.last - maxEvents, upTo)
  dropWhile(log, record => record.offset <= lastDropped)
  log.maxAgeMs = maxAgeMs
}

function dropWhile(log: Log, isDropped: (record: Aged) => boolean): void {
  let record = log.records[log.dropped]
  while (record && isDropped(record)) record = log.records[++log.dropped]
}

/** Lets go of dropped records once they are half of the array: each record is moved about once in its life. */
function compact(log: Log): void {
  if (log.dropped * 2 <= log.records.length || log.dropped === 0) return
  log.records = log.records.slice(log.dropped)
  log.dropped = 0
}
