/**
 * What is new. Each commit numbers the logs that it changed and notes them in a ring (keys.ts), so a watcher learns of
 * other processes' appends by reading, every few ms and only while there are watchers, one small row: the number of
 * changes so far. Our own commits are told at once.
 */
import { Watchers } from '../watchers.ts'
import { changeKey, changeSlots, decodeRow, headKey, type ChangeRow, type Head } from './keys.ts'
import type { Db } from './open.ts'
import type { Changes } from './transaction.ts'

const idleMs = 1000

export class Tail {
  readonly #db: Db
  readonly #pollMs: number
  readonly #onIdle: () => void
  readonly #watchers = new Watchers()
  #timer: NodeJS.Timeout | null = null
  #polls = 0
  /** All changes up to this one were told to the watchers; -1 when that is not known. */
  #seen = -1

  /** @param onIdle called about once a second while there are watchers, for what falls due without a write. */
  constructor(db: Db, pollMs: number, onIdle: () => void) {
    this.#db = db
    this.#pollMs = pollMs
    this.#onIdle = onIdle
  }

  watch(log: string, onChange: () => void): () => void {
    if (!this.#watchers.any) this.#start()
    const stop = this.#watchers.add(log, onChange)
    return () => {
      stop()
      if (!this.#watchers.any) this.#stop()
    }
  }

  /** Tells of our own commit. Changes of others that lie before it are found by the next poll. */
  onCommit({ from, to, logs }: Changes): void {
    for (const log of logs) this.#watchers.notify(log)
    if (this.#seen === from) this.#seen = to
  }

  close(): void {
    this.#watchers.clear()
    this.#stop()
  }

  #start(): void {
    // Read before the first watcher is there: what changes after this, a poll will find.
    this.#seen = this.#changes()
    // Watching alone does not keep a process alive.
    this.#timer = setInterval(() => this.#poll(), this.#pollMs).unref()
  }

  #stop(): void {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
  }

  #poll(): void {
    try {
      const changes = this.#changes()
      if (changes !== this.#seen) this.#tell(changes)
      this.#polls += 1
      if (this.#polls * this.#pollMs < idleMs) return
      this.#polls = 0
      this.#onIdle()
    } catch {
      // A watcher is not told of the engine's failures (Store.watch). Once it can be read again, all are called.
      this.#seen = -1
    }
  }

  #tell(changes: number): void {
    const seen = this.#seen
    this.#seen = changes
    if (seen < 0 || changes < seen || changes - seen > changeSlots) return this.#watchers.notifyAll()
    for (let change = seen + 1; change <= changes; change++) {
      const row = decodeRow<ChangeRow>(this.#db.get(changeKey(change)))
      if (row) this.#watchers.notify(row.log)
    }
  }

  #changes(): number {
    // lmdb keeps a snapshot for the rest of the turn; without this a poll could read the last one again.
    this.#db.resetReadTxn()
    return decodeRow<Head>(this.#db.get(headKey))?.changes ?? 0
  }
}
