import type { Offset } from '../../shared/protocol/cursor.ts'

/**
 * The most recent items of a log, by offset. Bounded in number and in bytes: the oldest make room for a new one. Most
 * resumes are served from here without touching the store.
 */
export class Ring<T> {
  readonly #slots: ({ readonly item: T; readonly bytes: number; readonly at: number } | undefined)[]
  readonly #capacity: number
  readonly #maxBytes: number
  #bytes = 0
  /** Offset of the newest item; 0 when empty. */
  #last: Offset = 0
  #count = 0

  /** @param maxBytes may be passed by the newest item alone. */
  constructor(capacity: number, maxBytes = Infinity) {
    if (!Number.isSafeInteger(capacity) || capacity < 1) {
      throw new RangeError(`A ring holds at least 1 item, not ${capacity}.`)
    }
    this.#capacity = capacity
    this.#maxBytes = maxBytes
    this.#slots = []
  }

  /** The lowest offset that is still held; `last + 1` when empty. */
  get first(): Offset {
    return this.#last - this.#count + 1
  }

  /**
   * Adds the next item.
   *
   * @param at when it was appended, in milliseconds since 1970.
   * @throws RangeError when the offset does not follow the last one: a hole must never be papered over.
   */
  push(offset: Offset, item: T, bytes = 0, at = 0): void {
    if (this.#count > 0 && offset !== this.#last + 1) {
      throw new RangeError(`Offset ${offset} does not follow ${this.#last}.`)
    }
    while (this.#count > 0 && (this.#count === this.#capacity || this.#bytes + bytes > this.#maxBytes)) {
      this.#drop(this.first)
    }
    this.#slots[offset % this.#capacity] = { item, bytes, at }
    this.#bytes += bytes
    this.#last = offset
    this.#count++
  }

  /**
   * Adds the item before the first one, or the only one; an older one makes none of them leave.
   *
   * @returns whether there was room for it.
   * @throws RangeError when the offset does not come right before the first one.
   */
  unshift(offset: Offset, item: T, bytes = 0, at = 0): boolean {
    if (this.#count > 0 && offset !== this.first - 1) {
      throw new RangeError(`Offset ${offset} does not come right before ${this.first}.`)
    }
    if (this.#count === this.#capacity || this.#bytes + bytes > this.#maxBytes) return false
    if (this.#count === 0) this.#last = offset
    this.#slots[offset % this.#capacity] = { item, bytes, at }
    this.#bytes += bytes
    this.#count++
    return true
  }

  /** True when nothing is held. */
  get empty(): boolean {
    return this.#count === 0
  }

  /** The item at an offset, or `undefined` when it is not held (any more, or yet). */
  get(offset: Offset): T | undefined {
    if (offset > this.#last || offset < this.first) return undefined
    return this.#slots[offset % this.#capacity]?.item
  }

  /** What was said of an item's size; 0 when it is not held. */
  bytesAt(offset: Offset): number {
    if (offset > this.#last || offset < this.first) return 0
    return this.#slots[offset % this.#capacity]?.bytes ?? 0
  }

  /** When an item was appended; undefined when it is not held. */
  appendedAt(offset: Offset): number | undefined {
    if (offset > this.#last || offset < this.first) return undefined
    return this.#slots[offset % this.#capacity]?.at
  }

  clear(): void {
    this.#slots.length = 0
    this.#last = 0
    this.#count = 0
    this.#bytes = 0
  }

  #drop(offset: Offset): void {
    this.#bytes -= this.bytesAt(offset)
    this.#slots[offset % this.#capacity] = undefined
    this.#count--
  }
}
