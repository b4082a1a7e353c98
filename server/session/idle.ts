/**
 * Ends connections of which nobody wants anything. One with a subscription is not watched: most connections have one.
 */
import type { Clock } from '../../shared/clock.ts'
import { Rota, Waiting } from '../rota.ts'

export interface Idler {
  /** True while something is in hand; `active` is called when it has ended. */
  readonly busy: boolean
  /** While it has nothing in hand. */
  rest: Rest | null
  /** Called when it has asked for nothing, and had nothing in hand, for the whole time. */
  endIdle(): void
}

export class Rest extends Waiting {
  constructor(readonly peer: Idler) {
    super()
  }
}

/** The peers of one server. */
export class IdleWatch {
  readonly #rota: Rota<Rest>

  constructor(idleMs: number, clock: Clock) {
    this.#rota = new Rota(idleMs, clock, ({ peer }) => {
      if (!peer.busy) peer.endIdle()
    })
  }

  /** It has come, or asked for something, or something has ended just now. */
  active(peer: Idler): void {
    if (!peer.busy) this.#rota.add((peer.rest ??= new Rest(peer)))
  }

  /** Something is in hand that will last, or it is gone. */
  leave(peer: Idler): void {
    peer.rest?.unlink()
    peer.rest = null
  }
}
