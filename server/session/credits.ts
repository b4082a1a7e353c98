/**
 * The credit of one subscription: what may be sent before its consumer has taken what was sent (protocol/credit.ts).
 * Events are counted exactly. Bytes come back with the events that had them, oldest first; those of messages that
 * were sent together come back in equal shares, so in between the sum is off by up to one batch.
 */
import type { Credit } from '../../shared/protocol/credit.ts'

/** What was sent together and has not been taken. Small ones share a piece: there are never many of them. */
interface Piece {
  events: number
  bytes: number
}

/** Pieces are put together up to this size, in bytes. */
const pieceBytes = 16 * 1024

export class Credits {
  #events: number
  #bytes: number
  /** Oldest first. */
  readonly #sent: Piece[] = []
  #closed = false
  /** There while the credit is spent; shared by all who wait. */
  #waiting: { readonly room: Promise<void>; end(): void } | null = null

  constructor({ events, bytes }: Credit) {
    this.#events = events
    this.#bytes = bytes
    this.#settle()
  }

  /** How many events may be sent now. */
  get left(): number {
    return this.#closed ? Infinity : Math.max(0, this.#events)
  }

  /** Null while there is credit; else a promise for when there is again, or nobody counts any more. */
  get room(): Promise<void> | null {
    return this.#waiting?.room ?? null
  }

  /** Counts what was sent. */
  spend(events: number, bytes: number): void {
    this.#events -= events
    this.#bytes -= bytes
    const last = this.#sent.at(-1)
    if (last && last.bytes + bytes <= pieceBytes) {
      last.events += events
      last.bytes += bytes
    } else {
      this.#sent.push({ events, bytes })
    }
    this.#settle()
  }

  /**
   * The consumer has taken so many. More than were sent are not counted: nobody gets a larger window so. Returns how
   * many were.
   */
  grant(events: number): number {
    let left = events
    for (let piece = this.#sent[0]; piece && left > 0; piece = this.#sent[0]) {
      const taken = Math.min(left, piece.events)
      const bytes = taken === piece.events ? piece.bytes : Math.floor((piece.bytes * taken) / piece.events)
      piece.events -= taken
      piece.bytes -= bytes
      left -= taken
      this.#events += taken
      this.#bytes += bytes
      if (piece.events === 0) this.#sent.shift()
    }
    this.#settle()
    return events - left
  }

  /** Lets all who wait go on: the subscription is over. */
  close(): void {
    this.#closed = true
    this.#settle()
  }

  #settle(): void {
    const spent = !this.#closed && (this.#events <= 0 || this.#bytes <= 0)
    if (spent && !this.#waiting) {
      let end = () => {}
      const room = new Promise<void>(resolve => (end = resolve))
      this.#waiting = { room, end }
    } else if (!spent && this.#waiting) {
      this.#waiting.end()
      this.#waiting = null
    }
  }
}
