import { join, type Frame, type Packed, type Packing, type Wire } from '../../../server/session/wire.ts'

/** A network in the hand of the test: what is written to it arrives when it is told to, and not before. */
export class SimulatedWire implements Wire {
  readonly packing: Packing
  /** The most that has ever waited here, in bytes. */
  peak = 0
  takenBytes = 0
  stalled = false
  #waiting: { bytes: Buffer; readonly gone: (() => void) | undefined }[] = []
  #waitingBytes = 0
  #lost = false
  /** The beginning of a message whose end is still on its way. */
  #partial = ''
  readonly #arrive: (message: string) => void

  /** @param arrive takes each message as a whole. */
  constructor(joins: boolean, arrive: (message: string) => void) {
    const pack = (frame: Frame) => `${frame.toString()}\n`
    const packEach = (frames: readonly Frame[]) => frames.map(pack)
    this.packing = { pack, packAll: joins ? frames => [join(packEach(frames))] : packEach }
    this.#arrive = arrive
  }

  get bufferedBytes(): number {
    return this.#waitingBytes
  }

  write(packed: readonly Packed[], gone?: () => void): void {
    if (this.#lost) return gone?.()
    const bytes = Buffer.from(join(packed))
    this.#waiting.push({ bytes, gone })
    this.#waitingBytes += bytes.length
    this.peak = Math.max(this.peak, this.#waitingBytes)
  }

  /** Lets so many bytes arrive, which may be the half of a message. */
  drain(most = Infinity): void {
    let left = most
    for (let [first] = this.#waiting; first && left > 0; [first] = this.#waiting) {
      const arrived = first.bytes.subarray(0, left)
      left -= arrived.length
      this.#waitingBytes -= arrived.length
      this.takenBytes += arrived.length
      first.bytes = first.bytes.subarray(arrived.length)
      if (first.bytes.length === 0) this.#waiting.shift()
      // The sender hears of it before the receiver acts upon it, or after: here it is before.
      if (first.bytes.length === 0) first.gone?.()
      this.#receive(arrived.toString('latin1')) // messages are ASCII here
    }
  }

  /** The connection is gone, and with it what has not arrived. */
  cut(): void {
    this.#lost = true
    const lost = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    for (const { gone } of lost) gone?.()
  }

  #receive(text: string): void {
    const messages = (this.#partial + text).split('\n')
    this.#partial = messages.pop() ?? ''
    for (const message of messages) {
      // A handler may have cut the connection: what follows was on it.
      if (!this.#lost) this.#arrive(message)
    }
  }
}
