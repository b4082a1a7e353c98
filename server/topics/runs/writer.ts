import type { Clock } from '../../../shared/clock.ts'
import { isSluiceError } from '../../../shared/errors.ts'
import type { Offset } from '../../../shared/protocol/cursor.ts'
import type { NewRecord, Store } from '../../stores/store.ts'
import { packRecord } from './record.ts'
import type { RunRecord } from './record.ts'

const maxPending = 256

/**
 * The one writer of a run's log. Each append names the offset that it expects, so that a writer which has been
 * replaced (its lease lapsed while it was stuck) cannot add a word. What is yielded while an append is under way
 * goes out with the next one; beyond a bound the run waits.
 */
export class RunWriter {
  #pending: NewRecord[] = []
  #writing: Promise<void> | null = null
  #failed = false
  #closed = false
  #last: Offset

  constructor(
    readonly store: Store,
    readonly log: string,
    readonly clock: Clock,
    last: Offset,
  ) {
    this.#last = last
  }

  /** Takes a record; settles when there is room for another. Rejects when an append did. */
  async write(record: RunRecord): Promise<void> {
    if (this.#closed) return
    this.#pending.push({ payload: packRecord(record), at: this.clock.now() })
    this.#writing ??= this.#writeAll()
    if (this.#failed || this.#pending.length >= maxPending) await this.#writing
    // Otherwise a failure is heard by the next call, or by end().
    else this.#writing.catch(() => (this.#failed = true))
  }

  /** Appends the last record after all others; later ones are ignored. Settles when it is in the store. */
  async end(record: RunRecord): Promise<void> {
    await this.write(record)
    this.#closed = true
    await this.#writing
  }

  async #writeAll(): Promise<void> {
    while (this.#pending.length > 0) {
      const batch = this.#pending
      this.#pending = []
      await this.#append(batch)
      this.#last += batch.length
    }
    this.#writing = null
  }

  async #append(batch: readonly NewRecord[]): Promise<void> {
    try {
      await this.store.append(this.log, batch, { expectLast: this.#last })
    } catch (error) {
      if (!isSluiceError(error) || error.code !== 'OUTCOME_UNKNOWN') throw error
      // Nobody else writes here: the log itself tells whether it happened.
      const state = await this.store.describe(this.log)
      if (state?.last === this.#last + batch.length) return
      await this.store.append(this.log, batch, { expectLast: this.#last })
    }
  }
}
