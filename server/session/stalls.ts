/**
 * Ends responses whose peer takes nothing any more: it is gone without a word, or it has stopped to read. A WebSocket's
 * peer is asked for a sign of life, which a response's cannot give. What it does give is that it takes what waits for
 * it: so a response of which something waits, and nothing has left for a whole time, is cut off.
 *
 * Nothing is kept of a response that has nothing waiting, as most have when they are looked at, now and then, all by
 * one timer.
 */
import type { Clock } from '../../shared/clock.ts'
import type { Outgoing } from '../topics/sink.ts'

/** What a response has before the network. */
export interface Pending extends Outgoing {
  /** Ends it without a word, and lets go of what waits. */
  cutOff(): void
}

/** Since when a response has taken nothing. */
interface Standstill {
  readonly takenBytes: number
  readonly since: number
}

export interface StallOptions {
  /** For how long one may take nothing, in milliseconds. */
  readonly afterMs: number
  readonly clock: Clock
  /** Those that are open now; null for one whose head is yet to be sent. */
  readonly open: () => Iterable<Pending | null>
  /** Called for each, before it is cut off. */
  readonly onStalled: () => void
}

/** How often they are looked at within that time, which is thus exceeded by as much at the most. */
const looks = 4

export class Stalls {
  readonly #options: StallOptions
  /** Those that have had their end, and that the peer has not taken yet. */
  readonly #leaving = new Set<Pending>()
  #still = new Map<Pending, Standstill>()
  /** Whether they are to be looked at. */
  #watching = false

  constructor(options: StallOptions) {
    this.#options = options
  }

  /** One has been opened. */
  watch(): void {
    if (this.#watching) return
    this.#watching = true
    const { clock, afterMs } = this.#options
    clock.after(afterMs / looks, () => this.#look())
  }

  /** One has had its end, and is not among those that are open any more: what waits is still to be taken. */
  leaves(response: Pending): void {
    if (response.bufferedBytes > 0) this.#leaving.add(response)
  }

  #look(): void {
    const { clock, afterMs, open, onStalled } = this.#options
    this.#watching = false
    const now = clock.now()
    const still = new Map<Pending, Standstill>()
    for (const response of [...open(), ...this.#leaving]) {
      this.watch()
      if (!response) continue
      const { takenBytes, bufferedBytes } = response
      const known = this.#still.get(response)
      const since = known?.takenBytes === takenBytes ? known.since : now
      if (bufferedBytes === 0) this.#leaving.delete(response)
      else if (now - since < afterMs) still.set(response, { takenBytes, since })
      else {
        this.#leaving.delete(response)
        onStalled()
        response.cutOff()
      }
    }
    this.#still = still
  }
}
