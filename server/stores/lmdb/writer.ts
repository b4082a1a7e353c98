/**
 * Group commit. Whatever is asked for while a transaction is on its way to the disk waits, and goes into the next one
 * together: under load one flush serves many. A job is done when its transaction is on disk.
 */
import type { Clock } from '../../../shared/clock.ts'
import { SluiceError, isSluiceError, toError } from '../../../shared/errors.ts'
import type { Db } from './open.ts'
import { sweep } from './sweep.ts'
import { WriteTransaction, type Changes } from './transaction.ts'

// The jobs of one transaction run on the event loop, at 10 to 20 µs each (Node 20): other work waits meanwhile.
const maxJobs = 500
const maxBytes = 8 * 1024 * 1024

/** A job refuses by a SluiceError before it has written anything; any other failure undoes the whole transaction. */
type Job<T> = (transaction: WriteTransaction) => T

interface Waiting {
  readonly bytes: number
  run(transaction: WriteTransaction): void
  /** After the transaction is on disk. */
  resolve(): void
  reject(reason: unknown): void
}

export class Writer {
  /** How many transactions were flushed to disk, and how many jobs they served. */
  readonly counters = { transactions: 0, jobs: 0 }
  readonly #db: Db
  readonly #clock: Clock
  readonly #onCommit: (changes: Changes) => void
  #queue: Waiting[] = []
  #running: Promise<void> | null = null
  #sweeping = false
  #closing = false

  constructor(db: Db, clock: Clock, onCommit: (changes: Changes) => void) {
    this.#db = db
    this.#clock = clock
    this.#onCommit = onCommit
  }

  /**
   * Runs a job within the next transaction.
   *
   * @param bytes about how much it writes.
   * @throws SluiceError what the job throws; `STORE_UNAVAILABLE` when the transaction failed: nothing was written.
   */
  run<T>(job: Job<T>, bytes = 0): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let settle = () => reject(new Error('The job was never run.'))
      this.#queue.push({
        bytes,
        run(transaction) {
          try {
            const result = job(transaction)
            settle = () => resolve(result)
          } catch (refusal) {
            if (!isSluiceError(refusal)) throw refusal
            settle = () => reject(refusal)
          }
        },
        resolve: () => settle(),
        reject,
      })
      this.#start()
    })
  }

  /** Lets a transaction come about that has nothing to do but to sweep. */
  sweepSoon(): void {
    if (this.#sweeping || this.#closing) return
    this.#sweeping = true
    // A sweep that failed is tried again with the next append, which will say so if it can't be written either.
    this.run(() => {}).catch(() => {})
  }

  /** Waits for what is under way. Nothing may be run afterwards. */
  async close(): Promise<void> {
    this.#closing = true
    await this.#running
  }

  #start(): void {
    this.#running ??= this.#drain().finally(() => {
      this.#running = null
      if (this.#queue.length > 0) this.#start()
    })
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) await this.#commit()
  }

  async #commit(): Promise<void> {
    let batch: Waiting[] = []
    let more = false
    try {
      // A child transaction is one that is undone when its callback throws. The callback runs once the writer lock
      // is ours, which may be a while after now where another process writes too: all who came until then join.
      const changes = await this.#db.childTransaction(() => {
        batch = this.#take()
        const transaction = new WriteTransaction(this.#db, Math.floor(this.#clock.now()))
        for (const waiting of batch) waiting.run(transaction)
        more = sweep(transaction, 64 + 2 * batch.length)
        return transaction.finish()
      })
      this.counters.transactions += 1
      this.counters.jobs += batch.length
      this.#onCommit(changes)
      for (const waiting of batch) waiting.resolve()
    } catch (thrown) {
      const failure = unavailable(thrown)
      if (batch.length === 0) batch = this.#take()
      for (const waiting of batch) waiting.reject(failure)
    }
    this.#sweeping = false
    if (more) this.sweepSoon()
  }

  #take(): Waiting[] {
    let count = 0
    let bytes = 0
    while (count < maxJobs && bytes < maxBytes) {
      const waiting = this.#queue[count]
      if (!waiting) break
      bytes += waiting.bytes
      count += 1
    }
    return this.#queue.splice(0, count)
  }
}

/** LMDB undoes a transaction whose commit fails, whether for want of space or by an error of the disk. */
function unavailable(thrown: unknown): SluiceError {
  const cause = toError(thrown)
  // The reason proper comes as a promise that rejects; left alone it would count as unhandled, and end the process.
  if ('commitError' in cause && cause.commitError instanceof Promise) cause.commitError.catch(() => {})
  return new SluiceError(
    'STORE_UNAVAILABLE',
    `LMDB could not write: ${cause.message}. Nothing was appended. Is the disk full, or the folder gone?`,
    { cause },
  )
}
