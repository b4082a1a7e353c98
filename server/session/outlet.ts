/**
 * The way out of one connection. It counts what goes, and tells subscriptions to wait while more lies in front of
 * the network than the high-water mark: a reader that stops costs a fixed amount of memory, whatever is published.
 *
 * The mark is passed by at most one message per subscription, each of which is sent before its pump looks again.
 */
import type { Counters } from '../observe/counters.ts'
import type { Frame, Wire } from './wire.ts'

/** More than any carrier adds around one message, in bytes. */
const framing = 64

export class Outlet implements Disposable {
  readonly #wire: Wire
  readonly #highWaterBytes: number
  readonly #counters: Counters
  /** There while the outlet is over its mark; shared by all who wait. */
  #congestion: { readonly over: Promise<void>; end(): void } | null = null
  #closed = false

  constructor(wire: Wire, highWaterBytes: number, counters: Counters) {
    this.#wire = wire
    this.#highWaterBytes = highWaterBytes
    this.#counters = counters
  }

  send(frame: Frame): void {
    const bytes = typeof frame === 'string' ? Buffer.byteLength(frame) : frame.byteLength
    this.#counters.bytesOut += bytes
    const before = this.#wire.bufferedBytes
    // Only a frame that may pass the mark asks to be told: a callback per frame is not free.
    const mayPass = before + bytes + framing > this.#highWaterBytes
    this.#wire.send(frame, mayPass ? this.#onGone : undefined)
    if (mayPass && this.#wire.bufferedBytes > this.#highWaterBytes) this.#congest()
  }

  /** Null while there is room; else a promise for when there is again, or the connection is gone. */
  get room(): Promise<void> | null {
    return this.#congestion?.over ?? null
  }

  get bufferedBytes(): number {
    return this.#wire.bufferedBytes
  }

  /** Lets all who wait go on; the connection is gone. Does not close the wire. */
  close(): void {
    this.#closed = true
    this.#relieve()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  // The last frame that passed the mark is gone, so what remains was sent below it.
  readonly #onGone = () => {
    if (this.#wire.bufferedBytes <= this.#highWaterBytes) this.#relieve()
  }

  #congest(): void {
    if (this.#congestion || this.#closed) return
    let end = () => {}
    const over = new Promise<void>(resolve => (end = resolve))
    this.#congestion = { over, end }
  }

  #relieve(): void {
    this.#congestion?.end()
    this.#congestion = null
  }
}
