/**
 * Heartbeats: a peer that has been quiet is asked for a sign of life, and one that stays quiet is cut off. Any
 * message counts as a sign, so a busy connection is never asked.
 */
import type { Clock } from '../../shared/clock.ts'
import { Rota, type Waiting } from '../rota.ts'

export interface KeepAlive {
  readonly enabled: boolean
  /** How long a peer may be quiet before it is asked, in milliseconds; default 30,000. */
  readonly pingMs?: number
  /** How long it may take to answer, in milliseconds; default 5,000. */
  readonly pongWaitMs?: number
}

export interface Pinged extends Waiting {
  ping(): void
  /** Called once, and then it is forgotten. */
  cutOff(): void
}

/** The peers of one server. */
export class Heartbeats {
  readonly #enabled: boolean
  readonly #quiet: Rota<Pinged>
  readonly #asked: Rota<Pinged>

  constructor({ enabled, pingMs = 30_000, pongWaitMs = 5_000 }: KeepAlive, clock: Clock) {
    this.#enabled = enabled
    this.#quiet = new Rota(pingMs, clock, peer => {
      this.#asked.add(peer)
      peer.ping()
    })
    this.#asked = new Rota(pongWaitMs, clock, peer => peer.cutOff())
  }

  /** A peer was heard, for the first time or again; it is watched from now on. */
  heard(peer: Pinged): void {
    if (this.#enabled) this.#quiet.add(peer)
  }
}
