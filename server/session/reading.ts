/**
 * Who does not read its answers is not read either, but for what has been read already: TCP tells it to wait. Looked
 * at after each message and each answer, and never for what is pushed: that waits by itself (outlet.ts), so a
 * connection that is full of events alone goes on to be heard.
 */
import type { Outlet } from './outlet.ts'
import type { DuplexWire } from './wire.ts'

export class Reading {
  readonly #wire: DuplexWire
  readonly #outlet: Outlet
  readonly #highWaterBytes: number
  readonly #peer: { heard(): void }
  #paused = false

  /** @param peer told when it has made room, and so has been alive. */
  constructor(wire: DuplexWire, outlet: Outlet, highWaterBytes: number, peer: { heard(): void }) {
    this.#wire = wire
    this.#outlet = outlet
    this.#highWaterBytes = highWaterBytes
    this.#peer = peer
  }

  /** Stops to read if there is no room for answers, until there is. */
  pauseWhileFull(): void {
    const { room, bufferedBytes } = this.#outlet
    if (this.#paused || !room || bufferedBytes <= this.#highWaterBytes) return
    this.#paused = true
    this.#wire.pause()
    void room.then(() => {
      this.#paused = false
      this.#peer.heard()
      this.#wire.resume()
    })
  }
}
