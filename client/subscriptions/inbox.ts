/**
 * A bounded buffer between a carrier that pushes and a consumer that pulls. There are three ways to keep the bound. A
 * carrier that can stop reading does so while it is full, and the stream's own backpressure reaches the server. A
 * server that counts is told what has been taken, and sends no more than fits. From any other, a subscription that can
 * be resumed is stopped, and asked for again when all is taken; one that cannot fails, with a typed error, after what
 * is here has been delivered.
 */
import { SluiceError } from '../../shared/errors.ts'
import { toCredit, type Credit } from '../../shared/protocol/credit.ts'

/** A consumer's room, as a carrier sees it. */
export interface Flow {
  readonly full: boolean
  /** Full, and nobody heeds it. */
  readonly overflowing: boolean
  /** Settles when there is room again, or nobody is left to want it. */
  whenRoom(): Promise<void>
  /** Calls `onEmpty`, and none that it was given before, when all has been taken; false where there is nothing to take. */
  empties(onEmpty: () => void): boolean
  /**
   * Whoever fills it says that they heed `full`, or the credit: they may overshoot by what is on its way already.
   *
   * @param onTaken told how many events have been taken, in few calls: after half of the credit, or before its bytes
   *   run out. Whoever counts anew begins with nothing taken.
   */
  heed(onTaken?: (events: number) => void): void
  /** They do so no more. */
  unheeded(): void
  /** As much as it holds, as a window for a server that counts. */
  readonly credit: Credit
  /**
   * Hands over an event of so many bytes, which may end up here: one that does not (it was a repeat, or another link
   * has kept it) counts as taken.
   */
  receive(bytes: number, handOver: () => void): void
}

export interface InboxBounds {
  readonly maxItems: number
  readonly maxBytes: number
}

type Result<T> = IteratorResult<T, undefined>

interface Held<T> {
  readonly item: T
  /** Null for one that nobody has announced. */
  readonly bytes: number | null
}

export class Inbox<T> implements Flow {
  readonly credit: Credit

  readonly #bounds: InboxBounds
  #held: Held<T>[] = []
  #bytes = 0
  /** The bytes of the event that is being handed over; null when it has found its way here, or there is none. */
  #arriving: number | null = null
  /** Null while it is open; the error, if any, is told once. */
  #ended: { readonly error: unknown } | null = null
  /** Those who wait for an item, in their order. */
  #readers: ((result: Result<T> | Promise<Result<T>>) => void)[] = []
  /** Those who wait for room. */
  #waiting: (() => void)[] = []
  /** Who waits for all of it. */
  #onEmpty: (() => void) | null = null

  #heeded = false
  #onTaken: ((events: number) => void) | null = null
  /** What was taken and not told. */
  #taken = { events: 0, bytes: 0 }

  /** @throws RangeError for a bound that would hold nothing. */
  constructor(bounds: InboxBounds) {
    checkBound('maxBuffered', bounds.maxItems)
    checkBound('maxBufferedBytes', bounds.maxBytes)
    this.#bounds = bounds
    this.credit = toCredit(bounds.maxItems, bounds.maxBytes)
  }

  get full(): boolean {
    return this.#held.length >= this.#bounds.maxItems || this.#bytes >= this.#bounds.maxBytes
  }

  get overflowing(): boolean {
    return this.full && !this.#heeded
  }

  heed(onTaken: ((events: number) => void) | null = null): void {
    this.#heeded = true
    this.#onTaken = onTaken
    this.#taken = { events: 0, bytes: 0 }
  }

  unheeded(): void {
    this.#heeded = false
    this.#onTaken = null
  }

  receive(bytes: number, handOver: () => void): void {
    this.#arriving = bytes
    handOver()
    if (this.#arriving !== null) this.#took(this.#arriving)
    this.#arriving = null
  }

  /** Takes an item; false once the inbox has ended, be it by this very item. */
  push(item: T): boolean {
    if (this.#ended) return false
    const bytes = this.#arriving
    const reader = this.#readers.shift()
    if (reader) {
      reader({ done: false, value: item }) // counts as taken: it is not kept here
      return true
    }
    if (this.overflowing) {
      this.end(this.#overrun())
      return false
    }
    this.#arriving = null
    this.#held.push({ item, bytes })
    this.#bytes += bytes ?? 0
    return true
  }

  /** No more will come; what is there is still delivered, and then the error if there is one. */
  end(error: unknown = null): void {
    if (this.#ended) return
    this.#ended = { error }
    this.#letGo()
    const readers = this.#readers
    this.#readers = []
    for (const reader of readers) reader(this.next())
  }

  /** Drops what is there and ends: the consumer has left. */
  discard(): void {
    this.#held = []
    this.#bytes = 0
    this.end()
    this.#ended = { error: null }
    this.#letGo()
  }

  /** The next item. */
  next(): Promise<Result<T>> {
    const held = this.#held.shift()
    if (held) {
      this.#bytes -= held.bytes ?? 0
      if (held.bytes !== null) this.#took(held.bytes)
      this.#letGo()
      return Promise.resolve({ done: false, value: held.item })
    }
    if (this.#ended) {
      const { error } = this.#ended
      this.#ended = { error: null } // told once, as a generator would
      return error === null ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error)
    }
    return new Promise(resolve => this.#readers.push(resolve))
  }

  whenRoom(): Promise<void> {
    return this.#hasRoom ? Promise.resolve() : new Promise(end => this.#waiting.push(end))
  }

  empties(onEmpty: () => void): boolean {
    this.#onEmpty = this.#held.length > 0 ? onEmpty : null
    return this.#onEmpty !== null
  }

  /** Also where nobody is left to want any. */
  get #hasRoom(): boolean {
    return !this.full || this.#ended !== null
  }

  #letGo(): void {
    if (this.#hasRoom) for (const end of this.#waiting.splice(0)) end()
    if (this.#held.length > 0 || !this.#onEmpty) return
    queueMicrotask(this.#onEmpty) // not in the midst of whoever takes
    this.#onEmpty = null
  }

  #took(bytes: number): void {
    if (!this.#onTaken) return
    const taken = this.#taken
    taken.events += 1
    taken.bytes += bytes
    // An eighth of the bytes, for we count characters and the server may count three bytes for each.
    if (2 * taken.events < this.credit.events && 8 * taken.bytes < this.credit.bytes) return
    this.#taken = { events: 0, bytes: 0 }
    this.#onTaken(taken.events)
  }

  #overrun(): SluiceError {
    const { maxItems, maxBytes } = this.#bounds
    return new SluiceError(
      'CONSUMER_TOO_SLOW',
      `${this.#held.length} events wait to be taken, and more come, from a server that neither counts them nor can be asked again from where this stopped. Do less per event, raise maxBuffered or maxBufferedBytes, or yield tracked() values.`,
      { data: { maxBuffered: maxItems, maxBufferedBytes: maxBytes } },
    )
  }
}

function checkBound(name: string, value: number): void {
  if (!(value >= 1)) throw new RangeError(`${name} is ${value}; pass a number of at least 1.`)
}
