/** What a session needs of the carrier below it. Implemented by the carriers, one object per connection. */

/** One message as it goes out: text, or bytes where the encoder makes them. */
export type Frame = string | Uint8Array

export interface Wire {
  /**
   * Hands a frame on, in order. Never throws; once the connection is closing, frames are dropped.
   *
   * @param gone called when this frame and all before it have left for the network, or are lost.
   */
  send(frame: Frame, gone?: () => void): void
  /** Bytes handed over that the network has not taken yet, the carrier's own framing included. */
  readonly bufferedBytes: number
}

/** What a session hears of its peer. */
export interface WireListener {
  frame(data: unknown, binary: boolean): void
  /** The peer broke the rules of the carrier. The connection's end follows by itself. */
  failed(error: Error): void
}

/** A wire on which the peer talks, too. */
export interface DuplexWire extends Wire {
  /** Calls back until the connection is gone, for whatever reason; settles then. */
  listen(listener: WireListener): Promise<void>
  /** Says goodbye, with a close code or with none. */
  close(code?: number, reason?: string): void
  /** Cuts the connection without a word. */
  terminate(): void
}
