/**
 * The interface of a store, and what each one guarantees. A store keeps append-only logs of opaque bytes; it knows
 * nothing of topics, schemas or tRPC. It is written for engines with many writers on many machines (Redis Streams,
 * NATS JetStream) as much as for a folder on a disk.
 *
 * 1. Offsets are dense: the first record of a log has offset 1, and each append adds exactly one per record,
 *    whoever writes. A reader can therefore check that nothing is missing; every reader does.
 * 2. An append is all or nothing, in the order given, and contiguous. When its promise resolves, the records are as
 *    durable as the engine makes them (LMDB: on disk) and every later read, from anywhere, sees them.
 * 3. An append that rejects with `OUTCOME_UNKNOWN` may have happened. Any other rejection: nothing was appended.
 * 4. A log has an epoch, random, made at its first append and kept until it is removed. A removed log that is
 *    appended to again has another epoch and starts at offset 1.
 * 5. Retention drops records from the front only. The epoch and the last offset outlive the records.
 *    Records leave in the order of their offsets: one whose `at` is too old stays while an earlier one is kept.
 * 6. A watcher is called after the log may have changed, once or more, perhaps for nothing; never with data, and
 *    never for the last time before a change that it was not called for. It says "read again", no more.
 */
import type { Epoch, Offset } from '../../shared/protocol/cursor.ts'

export interface Store {
  /**
   * Appends records at the end of a log, which is born by its first append.
   *
   * @param log name of the log, 1 to 400 bytes of UTF-8 without NUL.
   * @param records at least one (`RangeError`). Their payloads are copied before this returns.
   * @throws SluiceError `CONFLICT` when `expectLast` does not hold (nothing was appended; `data` has `last` and
   *   `expected`), `KEY_INVALID`, `OUTCOME_UNKNOWN`, `STORE_UNAVAILABLE`, `STORE_CLOSED`.
   */
  append(log: string, records: readonly NewRecord[], options?: AppendOptions): Promise<Appended>

  /** What is there now. A log that was never appended to, or was removed, is `null`. */
  describe(log: string): Promise<LogState | null>

  /**
   * Reads forward: the records after an offset, oldest first, within the bounds, at least one if there is one.
   * Where `after` lies before the first retained record, reading starts at the first retained one (compare
   * `state.first`). `state` and `records` are of one moment.
   *
   * @param bounds.maxBytes a record is still read whole if it begins within them.
   */
  read(log: string, after: Offset, bounds: ReadBounds): Promise<Page>

  /** Reads backward: the newest records before an offset (exclusive), returned oldest first. */
  readBefore(log: string, before: Offset, bounds: ReadBounds): Promise<Page>

  /**
   * Calls `onChange` after the log may have changed (guarantee 6), never from within `watch` itself, nor from
   * within an append. The first call may come before anything has changed. `onChange` must not throw. Failures of the engine's own channel are not thrown: the watcher is called again when it has recovered.
   *
   * @returns stops watching; any number of calls.
   * @throws SluiceError `KEY_INVALID`, `STORE_CLOSED`, at once.
   */
  watch(log: string, onChange: () => void): () => void

  /**
   * Drops what retention no longer keeps (guarantee 5). A `maxAgeMs` given here or with an append stays with the log
   * and goes on taking effect while nobody touches it, until an append or a trim brings another retention.
   *
   * @param covered where given, only what such a checkpoint covers is dropped for its number.
   */
  trim(log: string, retain: Retention, covered?: Covered): Promise<void>

  /** Removes a log with all that belongs to it: records, epoch, checkpoint, idempotency keys. */
  remove(log: string): Promise<void>

  /**
   * Lets a log end at a time (ms since the epoch): from then on it is as if removed, also if nobody ever touches it
   * again. The last call counts; `Infinity` takes it back. Nothing happens to a log that does not exist.
   */
  expire(log: string, at: number): Promise<void>

  /**
   * Keeps a derived state of a log up to an offset. A later checkpoint replaces an earlier one, never the reverse.
   * One of another life of the log (by its epoch) is dropped without a word: it has nothing to stand for any more.
   */
  saveCheckpoint(log: string, checkpoint: Checkpoint): Promise<void>

  /** The latest checkpoint of this life of the log, or `null`. */
  loadCheckpoint(log: string): Promise<Checkpoint | null>

  /**
   * Takes or renews a lease: at most one owner holds a name at a time, over all processes and machines.
   *
   * @param name 1 to 400 bytes of UTF-8 without NUL.
   * @param ttlMs the lease lapses this long after the last success, unless it is renewed or released.
   * @returns whether `owner` holds it now.
   */
  acquireLease(name: string, owner: string, ttlMs: number): Promise<boolean>

  /** Gives a lease back, if this owner holds it. */
  releaseLease(name: string, owner: string): Promise<void>

  /** Stops watching, finishes what is under way, and lets go of files and connections. Later calls reject with `STORE_CLOSED`. */
  close(): Promise<void>
}

export interface NewRecord {
  readonly payload: Uint8Array
  /** Milliseconds since the epoch, by the writer's clock. */
  readonly at: number
  /**
   * Appends at most once per log within the dedup window: the same key again returns the first record's offset.
   * 1 to 200 bytes of UTF-8 without NUL.
   */
  readonly idempotencyKey?: string
}

/** How long an idempotency key is remembered unless an append says otherwise: 24 hours. */
export const defaultDedupWindowMs = 24 * 3_600_000

export interface AppendOptions {
  /**
   * Compare and append: the last offset that the log must have now; 0 for a log that must not exist. Where all records
   * are duplicates there is nothing to compare: a retry with the same keys succeeds like the first try.
   */
  readonly expectLast?: Offset
  /** Applied in the same step, after the append. */
  readonly retain?: Retention
  /** How long the idempotency keys of these records are remembered, by the store's clock. Default 24 hours. */
  readonly dedupWindowMs?: number
}

export interface Appended {
  readonly epoch: Epoch
  /** One per record, in order. A duplicate has the offset of the first append. */
  readonly offsets: readonly Offset[]
  /** One per record: true where the idempotency key was known and nothing was appended. */
  readonly duplicates: readonly boolean[]
}

export interface Retention {
  /** Keep at most so many of the newest records. */
  readonly maxEvents?: number
  /** Keep no record older than this, by its `at` and the store's clock. */
  readonly maxAgeMs?: number
}

export interface LogState {
  readonly epoch: Epoch
  /** Offset of the oldest retained record; `last + 1` when none is left. */
  readonly first: Offset
  /** Offset of the newest record ever appended. */
  readonly last: Offset
}

export interface StoredRecord {
  readonly offset: Offset
  readonly at: number
  readonly payload: Uint8Array
}

export interface ReadBounds {
  readonly maxEvents: number
  readonly maxBytes: number
}

export interface Page {
  readonly state: LogState | null
  readonly records: readonly StoredRecord[]
}

/** How far a derived state has seen a log. */
export interface Covered {
  /** The life of the log that the state was made from. */
  readonly epoch: Epoch
  /** The state has seen every event up to and including this one. */
  readonly offset: Offset
}

export interface Checkpoint extends Covered {
  readonly payload: Uint8Array
}
