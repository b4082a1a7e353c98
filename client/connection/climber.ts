/**
 * The way back up: while a lesser transport works, the better ones are tried beside it from time to time. One that
 * opens and brings an answer takes over, and nothing is lost, for all go on by their cursors. While somebody has no
 * cursor to go on from, nothing is changed.
 */
import type { Clock, Timer } from '../../shared/clock.ts'
import type { Transport, TransportReports } from '../transports/transport.ts'
import type { TransportKind } from './machine.ts'

export interface ClimberOptions {
  readonly clock: Clock
  /** How long the first try is put off, in milliseconds. */
  readonly afterMs: number
  readonly create: (kind: TransportKind, reports: TransportReports) => Transport
  /** Whether everybody could go on elsewhere from where they are. */
  readonly isMovable: () => boolean
  /** A better transport works; `takeOver` says who is told of it from now on. */
  readonly reached: (
    kind: TransportKind,
    transport: Transport,
    takeOver: (reports: TransportReports) => void,
  ) => void
}

/** With each try, the next one is put off for twice as long, up to so many times the first. */
const maxFactor = 128

/** A better transport that has served for so many first delays was no flash in the pan. */
const steadyFactor = 5

/** How long a candidate has to answer once it is open. */
const answerMs = 2_000

export class Climber {
  readonly #options: ClimberOptions
  #better: readonly TransportKind[] = []
  #tries = 0
  #timer: Timer | null = null
  #candidate: Transport | null = null
  /** Since when there has been nothing better; null while there is. */
  #bestSince: number | null = null

  constructor(options: ClimberOptions) {
    this.#options = options
  }

  /** The connection works; these would be better, best first. */
  watch(better: readonly TransportKind[]): void {
    const { clock, afterMs } = this.#options
    this.#better = better
    if (better.length === 0) {
      this.stop()
      this.#bestSince ??= clock.now()
      return
    }
    if (this.#bestSince !== null && clock.now() - this.#bestSince >= afterMs * steadyFactor) this.#tries = 0
    this.#bestSince = null
    if (!this.#timer && !this.#candidate) this.#putOff()
  }

  /** The connection does not work, or is not needed. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
    const candidate = this.#candidate
    this.#candidate = null
    candidate?.close()
  }

  #putOff(): void {
    const { clock, afterMs } = this.#options
    const ms = afterMs * Math.min(2 ** this.#tries, maxFactor)
    this.#timer = clock.after(ms, () => {
      this.#timer = null
      if (!this.#options.isMovable()) return this.#putOff()
      this.#tries += 1
      this.#try(this.#better)
    })
  }

  #try([kind, ...others]: readonly TransportKind[]): void {
    if (kind === undefined) return this.#putOff()
    const isCandidate = () => this.#candidate === candidate
    let reports: TransportReports = {
      opened: () => {
        if (isCandidate()) candidate.probe('network', answerMs)
      },
      heard: () => {
        if (!isCandidate()) return
        this.#candidate = null
        if (this.#options.isMovable()) {
          this.#options.reached(kind, candidate, later => (reports = later))
        } else {
          candidate.close()
          this.#putOff()
        }
      },
      received: () => {},
      interrupted: () => {},
      lost: () => {
        if (!isCandidate()) return
        this.#candidate = null
        this.#try(others)
      },
    }
    const candidate = this.#options.create(kind, {
      opened: () => reports.opened(),
      heard: () => reports.heard(),
      received: message => reports.received(message),
      interrupted: (ids, loss) => reports.interrupted(ids, loss),
      lost: loss => reports.lost(loss),
    })
    this.#candidate = candidate
  }
}
