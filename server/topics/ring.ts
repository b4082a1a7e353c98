import type { Offset } from '../../shared/protocol/cursor.ts'

/**
 * The most recent items of a log, by offset. Bounded in number; a new item overwrites the oldest. Most resumes are
 * served from here without touching the store.
 */
export class Ring<T> {
  readonly #slots: (T | undefined)[]
  readonly #capacity: number
  /** Offset of the newest item; 0 when empty. */
  #last: Offset = 0
  #count = 0

  constructor(capacity: number) {
    if (!Number.isSafeInteger(capacity) || capacity < 1) {
      throw new RangeError(`A ring holds at least 1 item, not ${capacity}.`)
    }
    this.#capacity = capacity
    this.#slots = []
  }

  /** The lowest offset that is still held; `last + 1` when empty. */
  get first(): Offset {
    return this.#last - this.#count + 1
  }

  get last(): Offset {
    return this.#last
  }

  /**
   * Adds the next item.
   *
   * @throws RangeError when the offset does not follow the last one: a hole must never be papered over.
   */
  push(offset: Offset, item: T): void {
    if (this.#count > 0 && offset !== this.#last + 1) {
      throw new RangeError(`Offset ${offset} does not follow ${this.#last}.`)
    }
    this.#slots[offset % this.#capacity] = item
    this.#last = offset
    if (this.#count < this.#capacity) this.#count++
  }

  /** The item at an offset, or `undefined` when it is not held (any more, or yet). */
  get(offset: Offset): T | undefined {
    if (offset > this.#last || offset < this.first) return undefined
    return this.#slots[offset % this.#capacity]
  }

  clear(): void {
    this.#slots.length = 0
    this.#last = 0
    this.#count = 0
  }
}
