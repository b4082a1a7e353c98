/**
 * A bounded buffer between a carrier that pushes and a consumer that pulls. While it is full, a carrier that can stop
 * reading does so (the stream's own backpressure then reaches the server); one that cannot would make it grow
 * without limit, so it fails instead: with a typed error, after what it holds has been delivered.
 */
import { SluiceError } from '../../shared/errors.ts'

/** A consumer's room, as a carrier sees it. */
export interface Flow {
  readonly full: boolean
  /** Settles when there is room again, or nobody is left to want it. */
  whenRoom(): Promise<void>
  /** The carrier says that it heeds `full`: it may overshoot by what it has already read. */
  heeded: boolean
}

// By this symbol a consumer's room travels through tRPC's client to our link, in the context of the operation.
const flowKey: unique symbol = Symbol.for('trpc-sluice.flow')

/** The context of an operation whose consumer says how much it can take. */
export function contextWithFlow(flow: Flow): Record<string, unknown> {
  return { [flowKey]: flow }
}

export function flowOf(context: object): Flow | undefined {
  return (context as { [flowKey]?: Flow })[flowKey]
}

type Result<T> = IteratorResult<T, undefined>

export class Inbox<T> implements Flow {
  heeded = false

  readonly #maxItems: number
  #items: T[] = []
  /** Null while it is open; the error, if any, is told once. */
  #ended: { readonly error: unknown } | null = null
  /** Those who wait for an item, in their order. */
  #readers: ((result: Result<T> | Promise<Result<T>>) => void)[] = []
  /** Those who wait for room. */
  #writers: (() => void)[] = []

  constructor(maxItems: number) {
    if (!(maxItems >= 1)) {
      throw new RangeError(`maxBuffered is ${maxItems}; pass a number of events of at least 1.`)
    }
    this.#maxItems = maxItems
  }

  get full(): boolean {
    return this.#items.length >= this.#maxItems
  }

  /** Takes an item; false once the inbox has ended, be it by this very item. */
  push(item: T): boolean {
    if (this.#ended) return false
    const reader = this.#readers.shift()
    if (reader) {
      reader({ done: false, value: item })
      return true
    }
    if (this.full && !this.heeded) {
      this.end(
        new SluiceError(
          'CONSUMER_TOO_SLOW',
          `${this.#maxItems} events wait to be taken, and more come. Do less per event, raise maxBuffered, or ask the server for less.`,
          { data: { maxBuffered: this.#maxItems } },
        ),
      )
      return false
    }
    this.#items.push(item)
    return true
  }

  /** No more will come; what is there is still delivered, and then the error if there is one. */
  end(error: unknown = null): void {
    if (this.#ended) return
    this.#ended = { error }
    this.#letWritersGo()
    const readers = this.#readers
    this.#readers = []
    for (const reader of readers) reader(this.next())
  }

  /** Drops what is there and ends: the consumer has left. */
  discard(): void {
    this.#items = []
    this.end()
    this.#ended = { error: null }
  }

  /** The next item. */
  next(): Promise<Result<T>> {
    if (this.#items.length > 0) {
      const value = this.#items.shift() as T // there is one
      if (!this.full) this.#letWritersGo()
      return Promise.resolve({ done: false, value })
    }
    if (this.#ended) {
      const { error } = this.#ended
      this.#ended = { error: null } // told once, as a generator would
      return error === null ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error)
    }
    return new Promise(resolve => this.#readers.push(resolve))
  }

  whenRoom(): Promise<void> {
    if (!this.full || this.#ended) return Promise.resolve()
    return new Promise(resolve => this.#writers.push(resolve))
  }

  #letWritersGo(): void {
    const writers = this.#writers
    this.#writers = []
    for (const resolve of writers) resolve()
  }
}
