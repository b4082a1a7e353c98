/** At most one commit per frame of the screen. */
import { systemClock, type Clock, type Timer } from '../../shared/clock.ts'

/** A hidden page gets no frames at all, and React Native's or Node's surroundings may have none to give. */
const withoutFramesMs = 100

interface Frames {
  requestAnimationFrame?(callback: () => void): number
  cancelAnimationFrame?(handle: number): void
}

export class FrameGate {
  readonly #commit: () => void
  readonly #clock: Clock
  readonly #frames: Frames
  #waiting: { readonly frame: number | undefined; readonly timer: Timer } | null = null

  constructor(
    commit: () => void,
    clock: Clock = systemClock,
    frames: Frames = globalThis as Frames, // looked at for two members that may be missing
  ) {
    this.#commit = commit
    this.#clock = clock
    this.#frames = frames
  }

  /** Commits with the next frame, or soon where none comes; asked for again before that, it is still one commit. */
  request(): void {
    if (this.#waiting) return
    const fire = () => {
      this.cancel()
      this.#commit()
    }
    this.#waiting = {
      frame: this.#frames.requestAnimationFrame?.(fire),
      timer: this.#clock.after(withoutFramesMs, fire),
    }
  }

  cancel(): void {
    if (!this.#waiting) return
    const { frame, timer } = this.#waiting
    this.#waiting = null
    timer.cancel()
    if (frame !== undefined) this.#frames.cancelAnimationFrame?.(frame)
  }
}
