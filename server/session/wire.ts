/** What a session needs of the carrier below it. Implemented by the carriers, one object per connection. */
import type { SluiceErrorCode } from '../../shared/errors.ts'

/** One message as it goes out: text, or bytes where the encoder makes them. */
export type Frame = string | Uint8Array

/** A message with the carrier's framing around it. */
export type Packed = string | Uint8Array

/**
 * How a carrier frames messages. One object for all wires that do it alike, so that what was packed for one of them
 * can be written to all.
 */
export interface Packing {
  /** Whether messages that go out together are better packed together; left out: no. */
  readonly together?: boolean
  pack(frame: Frame): Packed
  /** Several messages that go out together, in order, as few pieces as the carrier allows. */
  packAll(frames: readonly Frame[]): readonly Packed[]
}

export interface Wire {
  readonly packing: Packing
  /**
   * Whether what is written in one turn is put off until its end, and goes out together, by itself; left out: no. What
   * is written at the end of a turn then waits for the end of the next one.
   */
  readonly gathers?: boolean
  /**
   * Writes packed messages, in order, as one piece where the carrier can. Never throws; once the connection is
   * closing, they are dropped.
   *
   * @param gone called when these and all before them have left for the network, or are lost.
   */
  write(packed: readonly Packed[], gone?: () => void): void
  /** Bytes handed over that the network has not taken yet, the carrier's own framing included. */
  readonly bufferedBytes: number
  /** Bytes that it has taken, in a count of its own: what matters is whether it grows. */
  readonly takenBytes: number
}

/** What a session hears of its peer. */
export interface WireListener {
  frame(data: unknown, binary: boolean): void
  /** The peer sent a ping or pong of the carrier's own. @param ping what is to be answered, if anything is. */
  control(ping: Uint8Array | null): void
  /** The peer broke the rules of the carrier, or its limits. The connection's end follows by itself. */
  failed(error: Error, code: SluiceErrorCode): void
  /** The connection is gone, for whatever reason. Nothing is heard any more. */
  closed(): void
}

/** A wire on which the peer talks, too. */
export interface DuplexWire extends Wire {
  /** Has one listener told, until the connection is gone. */
  listen(listener: WireListener): void
  /** Stops reading: TCP tells the peer. What has been read already is still heard. */
  pause(): void
  resume(): void
  /** Answers a ping. @param gone called when the answer has left for the network, or is lost. */
  pong(ping: Uint8Array, gone: () => void): void
  /** Says goodbye, with a close code or with none. */
  close(code?: number, reason?: string): void
  /** Cuts the connection without a word. */
  terminate(): void
}

/** Packed messages, as one piece. */
export function join(packed: readonly Packed[]): Packed {
  const [first, second] = packed
  if (first !== undefined && second === undefined) return first
  if (packed.every(piece => typeof piece === 'string')) return packed.join('')
  return Buffer.concat(packed.map(piece => (typeof piece === 'string' ? Buffer.from(piece) : piece)))
}
