/**
 * The way out of one connection. What becomes ready for it in one turn of the event loop is gathered, and goes out in
 * one write at the end of the turn; a lone event waits for nothing else. A wire that gathers by itself (HTTP/2) is
 * written to before that, or what is ready would wait for the end of two turns.
 *
 * It counts what goes, and makes subscriptions wait, for two reasons. The network does not take what lies in front of
 * it: so a reader that stops costs a fixed amount of memory, whatever is published. Or the connection has had its
 * share of this turn: a generator that never waits for anything would otherwise keep the process from everything
 * else, for as long as the network is fast enough.
 *
 * The high-water mark is passed by at most one message or batch per subscription, each of which is sent before its
 * pump looks again.
 */
import type { Counters } from '../observe/counters.ts'
import { afterThisTurn, afterWhatIsReady } from '../turn.ts'
import { byteLengthOf } from '../bytes.ts'
import type { Frame, Packed, Wire } from './wire.ts'

/** What one connection may gather before others have their turn, in bytes: some 2 ms of small events (Node 20). */
const bytesPerTurn = 16 * 1024

/** What is gathered is written at once when it grows beyond this: a bound on the size of one write, in bytes. */
const maxWriteBytes = 64 * 1024

/** As many messages are packed together at most: what a client has to take at once. */
const maxTogether = 64

/** Why nobody may send. As bits, for there is a set of them on each connection (of a Set's: 190 B; Node 20). */
const reasons = { network: 1, turn: 2 }
type Reason = keyof typeof reasons

/** Those with something to write at the end of this turn: one timer for all of them. */
let gathering: Outlet[] = []

function flushAll(): void {
  const outlets = gathering
  gathering = []
  for (const outlet of outlets) outlet.flush()
}

/** Those whose wire gathers by itself, with something to write once all is there that is ready now. */
let hurrying: Outlet[] = []

function hurryAll(): void {
  const outlets = hurrying
  hurrying = []
  for (const outlet of outlets) outlet.hurry()
}

export class Outlet {
  readonly #wire: Wire
  readonly #highWaterBytes: number
  readonly #counters: Counters
  #gathered: Packed[] | null = null
  #gatheredBytes = 0
  /** The latest of what is gathered: messages that are packed together. */
  #messages: Frame[] | null = null
  #messageBytes = 0
  #scheduled = false
  #hurries = false
  #closed = false

  /** Why nobody may send; there is room when there is none. */
  #reasons = 0
  /** There while there is no room; shared by all who wait. */
  #waiting: { readonly room: Promise<void>; end(): void } | null = null

  constructor(wire: Wire, highWaterBytes: number, counters: Counters) {
    this.#wire = wire
    this.#highWaterBytes = highWaterBytes
    this.#counters = counters
  }

  /** How messages are packed here. */
  get packing(): Wire['packing'] {
    return this.#wire.packing
  }

  /**
   * Sends a message, packed with those beside it: as one frame where that is agreed on (a stream of small events costs
   * the client 5.3 µs of CPU for each, and each in a frame of its own about 8; Node 20). Returns the bytes of the message
   * itself.
   */
  sendMessage(message: Frame): number {
    const bytes = byteLengthOf(message)
    if (!this.#closed) {
      this.#messages ??= []
      this.#messages.push(message)
      this.#messageBytes += bytes
      if (this.#messages.length === maxTogether) this.#pack()
      this.#sendSoon()
    }
    return bytes
  }

  /** Sends what is to be a frame by itself. Returns its own bytes. */
  send(frame: Frame): number {
    if (!this.packing.together) return this.sendMessage(frame)
    this.sendPacked([this.packing.pack(frame)])
    return byteLengthOf(frame)
  }

  /** Sends what was packed by `packing`, here or for another connection. */
  sendPacked(packed: readonly Packed[]): void {
    if (this.#closed) return
    this.#pack()
    this.#gather(packed)
    this.#sendSoon()
  }

  /** Has the wire send something of its own, for which others wait as for all else. @param send is told whom to tell. */
  sendBeside(send: (gone: () => void) => void): void {
    send(() => this.#onGone())
    if (this.bufferedBytes > this.#highWaterBytes) this.#pause('network')
  }

  #pack(): void {
    const messages = this.#messages
    if (!messages) return
    this.#messages = null
    this.#messageBytes = 0
    this.#gather(this.packing.packAll(messages))
  }

  #gather(packed: readonly Packed[]): void {
    this.#gathered ??= []
    for (const piece of packed) {
      this.#gathered.push(piece)
      this.#gatheredBytes += byteLengthOf(piece)
    }
  }

  get #unwrittenBytes(): number {
    return this.#gatheredBytes + this.#messageBytes
  }

  #sendSoon(): void {
    const unwritten = this.#unwrittenBytes
    // What is written at once for its size is also the share of this turn: a history of large events is no longer than
    // one of small ones for those who wait meanwhile.
    const told = unwritten > maxWriteBytes ? this.#write() : true
    if (!this.#scheduled) {
      this.#scheduled = true
      if (gathering.push(this) === 1) afterThisTurn(flushAll)
    }
    if (this.#wire.gathers && !this.#hurries) {
      this.#hurries = true
      if (hurrying.push(this) === 1) afterWhatIsReady(hurryAll)
    }
    if (unwritten > bytesPerTurn) this.#pause('turn')
    if (told && this.bufferedBytes > this.#highWaterBytes) this.#pause('network')
  }

  /** Writes what has been gathered so far; the turn goes on. */
  hurry(): void {
    this.#hurries = false
    this.#write()
  }

  /** Writes what has been gathered, before the turn is over. */
  flush(): void {
    this.#scheduled = false
    this.#write()
    this.#resume('turn')
  }

  /** Null while there is room; else a promise for when there is again, or the connection is gone. */
  get room(): Promise<void> | null {
    return this.#waiting?.room ?? null
  }

  /** Bytes that the network has not taken yet, or has not been offered. */
  get bufferedBytes(): number {
    return this.#wire.bufferedBytes + this.#unwrittenBytes
  }

  /** Bytes that the network has taken, in a count of its own. */
  get takenBytes(): number {
    return this.#wire.takenBytes
  }

  /** Lets all who wait go on; the connection is gone, or about to be. Does not close the wire. */
  close(): void {
    if (this.#closed) return
    this.#write()
    this.#closed = true
    this.#reasons = 0
    this.#makeRoom()
  }

  /** Returns whether it will be told when this is gone, as it must be before anybody waits for the network. */
  #write(): boolean {
    this.#pack()
    const packed = this.#gathered
    if (!packed) return false
    const bytes = this.#gatheredBytes
    this.#gathered = null
    this.#gatheredBytes = 0
    this.#counters.bytesOut += bytes
    // Only a write that may pass the mark, or for which somebody waits, asks to be told: a callback per write is not free.
    const mayPass = this.#wire.bufferedBytes + bytes > this.#highWaterBytes
    const asks = mayPass || (this.#reasons & reasons.network) !== 0
    this.#wire.write(packed, asks ? () => this.#onGone() : undefined)
    if (this.#wire.bufferedBytes <= this.#highWaterBytes) this.#resume('network')
    return asks
  }

  // The last write that passed the mark is gone, so what remains was written below it.
  #onGone(): void {
    if (this.bufferedBytes <= this.#highWaterBytes) this.#resume('network')
  }

  #pause(reason: Reason): void {
    if (this.#closed) return
    const bit = reasons[reason]
    if (reason === 'network' && !(this.#reasons & bit)) this.#counters.stalls += 1
    this.#reasons |= bit
    if (this.#waiting) return
    let end = () => {}
    const room = new Promise<void>(resolve => (end = resolve))
    this.#waiting = { room, end }
  }

  #resume(reason: Reason): void {
    const bit = reasons[reason]
    if (!(this.#reasons & bit)) return
    this.#reasons &= ~bit
    if (this.#reasons === 0) this.#makeRoom()
  }

  #makeRoom(): void {
    this.#waiting?.end()
    this.#waiting = null
  }
}
