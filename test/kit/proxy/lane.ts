/**
 * One direction of one proxied connection. Bytes are taken from `from` only when they can go on to `to`, so that a
 * reader who is slow at one end holds up the writer at the other, as without the proxy.
 *
 * Why a lane waits is a set of reasons; it runs when the set is empty.
 */
import type { Socket } from 'node:net'

/** What a lane obeys; one object for the whole proxy, changed while connections are open. */
export interface Pace {
  /** Bytes a second in each direction of each connection. */
  bytesPerSecond: number
  /** The most that is written at once. */
  maxBytes: number
}

type Hold = 'stalled' | 'full' | 'paced' | 'cut'

// A slow lane writes this often, so that 10 kB/s is a trickle and not one lump a second.
const piecesPerSecond = 50

export class Lane {
  readonly #from: Socket
  readonly #to: Socket
  readonly #pace: Readonly<Pace>
  readonly #holds = new Set<Hold>()
  #cancelWait: (() => void) | null = null
  /** Set when the next chunk must be the last, and only a part of it may pass. */
  #cutWithin: (() => void) | null = null

  constructor(from: Socket, to: Socket, pace: Readonly<Pace>) {
    this.#from = from
    this.#to = to
    this.#pace = pace
    from.on('readable', this.#pump)
    from.on('end', this.#end)
    from.on('close', this.#stopWaiting)
    to.on('drain', this.#drained)
  }

  /** Lets go of both sockets and leaves them as they are. */
  detach(): void {
    this.#from.off('readable', this.#pump)
    this.#from.off('end', this.#end)
    this.#from.off('close', this.#stopWaiting)
    this.#to.off('drain', this.#drained)
    this.#stopWaiting()
  }

  stall(): void {
    this.#holds.add('stalled')
  }

  /** Undoes `stall`, and forgets a wait that a slower pace had begun. */
  resume(): void {
    this.#stopWaiting()
    this.#holds.delete('paced')
    this.#release('stalled')
  }

  /** Lets half of the next chunk pass, then calls `cut`. */
  cutWithinNextChunk(cut: () => void): void {
    this.#cutWithin = cut
    this.#pump()
  }

  /** Undoes that, unless the chunk has come. Returns whether it has not. */
  spare(): boolean {
    const waits = this.#cutWithin !== null
    this.#cutWithin = null
    return waits
  }

  readonly #pump = (): void => {
    while (this.#holds.size === 0 && !this.#to.destroyed) {
      const piece = this.#read()
      if (piece === null) return
      if (this.#cutWithin) return this.#passHalf(piece, this.#cutWithin)
      if (!this.#to.write(piece)) this.#holds.add('full')
      this.#waitAfter(piece.length)
    }
  }

  #read(): Buffer | null {
    const { bytesPerSecond, maxBytes } = this.#pace
    const most = Math.min(maxBytes, Math.max(1, Math.ceil(bytesPerSecond / piecesPerSecond)))
    // A read of nothing is what makes a stream notice that it has ended.
    const size = Math.min(this.#from.readableLength, most)
    return size === 0 ? this.#from.read() : this.#from.read(size)
  }

  #passHalf(piece: Buffer, cut: () => void): void {
    this.#cutWithin = null
    this.#holds.add('cut') // for good: what came after the half would be bytes with a hole in them
    // Once the kernel has the bytes, a reset no longer takes them back.
    this.#to.write(piece.subarray(0, piece.length >> 1), () => cut())
  }

  #waitAfter(bytes: number): void {
    const { bytesPerSecond, maxBytes } = this.#pace
    if (bytesPerSecond === Infinity && maxBytes === Infinity) return
    this.#holds.add('paced')
    const go = () => this.#release('paced')
    if (bytesPerSecond === Infinity) {
      // A turn of the event loop between two writes gives the receiver a chance to see them apart.
      const handle = setImmediate(go)
      this.#cancelWait = () => clearImmediate(handle)
    } else {
      const handle = setTimeout(go, (bytes / bytesPerSecond) * 1000)
      this.#cancelWait = () => clearTimeout(handle)
    }
  }

  readonly #end = (): void => {
    this.#to.end()
  }

  readonly #drained = (): void => this.#release('full')

  readonly #stopWaiting = (): void => {
    this.#cancelWait?.()
    this.#cancelWait = null
  }

  #release(why: Hold): void {
    this.#holds.delete(why)
    this.#pump()
  }
}
