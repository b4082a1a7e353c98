/**
 * The way out of one connection. It counts what goes, and makes subscriptions wait, for two reasons. The network does
 * not take what lies in front of it: so a reader that stops costs a fixed amount of memory, whatever is published.
 * Or the connection has had its share of this turn of the event loop: a generator that never waits for anything
 * would otherwise keep the process from everything else, for as long as the network is fast enough.
 *
 * The high-water mark is passed by at most one message per subscription, each of which is sent before its pump looks
 * again.
 */
import type { Counters } from '../observe/counters.ts'
import { afterThisTurn } from '../turn.ts'
import type { Frame, Wire } from './wire.ts'

/** More than any carrier adds around one message, in bytes. */
const framing = 64

/** What one connection may send before others have their turn, in bytes: some 2 ms of small events (Node 20). */
const bytesPerTurn = 16 * 1024

type Reason = 'network' | 'turn'

export class Outlet implements Disposable {
  readonly #wire: Wire
  readonly #highWaterBytes: number
  readonly #counters: Counters
  #bytesOfTurn = 0
  #closed = false

  /** Why nobody may send; there is room when it is empty. */
  readonly #reasons = new Set<Reason>()
  /** There while there is no room; shared by all who wait. */
  #waiting: { readonly room: Promise<void>; end(): void } | null = null

  constructor(wire: Wire, highWaterBytes: number, counters: Counters) {
    this.#wire = wire
    this.#highWaterBytes = highWaterBytes
    this.#counters = counters
  }

  send(frame: Frame): void {
    const bytes = typeof frame === 'string' ? Buffer.byteLength(frame) : frame.byteLength
    this.#counters.bytesOut += bytes
    // Only a frame that may pass the mark asks to be told: a callback per frame is not free.
    const mayPass = this.#wire.bufferedBytes + bytes + framing > this.#highWaterBytes
    this.#wire.send(frame, mayPass ? this.#onGone : undefined)
    if (mayPass && this.#wire.bufferedBytes > this.#highWaterBytes) this.#pause('network')

    this.#bytesOfTurn += bytes
    if (this.#bytesOfTurn > bytesPerTurn) {
      this.#bytesOfTurn = 0
      this.#pause('turn')
      afterThisTurn(() => this.#resume('turn'))
    }
  }

  /** Null while there is room; else a promise for when there is again, or the connection is gone. */
  get room(): Promise<void> | null {
    return this.#waiting?.room ?? null
  }

  get bufferedBytes(): number {
    return this.#wire.bufferedBytes
  }

  /** Lets all who wait go on; the connection is gone. Does not close the wire. */
  close(): void {
    this.#closed = true
    for (const reason of this.#reasons) this.#resume(reason)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  // The last frame that passed the mark is gone, so what remains was sent below it.
  readonly #onGone = () => {
    if (this.#wire.bufferedBytes <= this.#highWaterBytes) this.#resume('network')
  }

  #pause(reason: Reason): void {
    if (this.#closed) return
    this.#reasons.add(reason)
    if (this.#waiting) return
    let end = () => {}
    const room = new Promise<void>(resolve => (end = resolve))
    this.#waiting = { room, end }
  }

  #resume(reason: Reason): void {
    this.#reasons.delete(reason)
    if (this.#reasons.size > 0) return
    this.#waiting?.end()
    this.#waiting = null
  }
}
