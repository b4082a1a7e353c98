/**
 * The way back up: while a lesser transport works, the better ones are tried beside it from time to time. One that
 * opens and brings an answer takes over, and nothing is lost, for all go on by their cursors. While somebody has no
 * cursor to go on from, nothing is changed.
 */
import { SluiceError } from '../../shared/errors.ts'
import type { Clock, Timer } from '../../shared/clock.ts'
import type { Transport, TransportReports } from '../transports/transport.ts'
import type { TransportKind } from './machine.ts'

export interface ClimberOptions {
  readonly clock: Clock
  /** How long the first try is put off, in milliseconds. */
  readonly climbAfterMs: number
  readonly create: (kind: TransportKind, reports: TransportReports) => Transport
  /** Whether everybody could go on elsewhere from where they are. */
  readonly isMovable: () => boolean
  /** A better transport works; `takeOver` says who is told of it from now on, and `why` what becomes of the other. */
  readonly reached: (
    kind: TransportKind,
    transport: Transport,
    takeOver: (reports: TransportReports) => void,
    why: SluiceError,
  ) => void
}

/** With each try, the next one is put off for twice as long, up to so many times the first. */
const maxFactor = 128

/** A better transport that has served for so many first delays was no flash in the pan. */
const steadyFactor = 5

/** How long a candidate has to answer once it is open. */
const answerMs = 2_000

export interface Climber {
  /** The connection works; these would be better, best first. */
  watch(better: readonly TransportKind[]): void
  /** The connection does not work, or is not needed. */
  stop(): void
}

export function createClimber({ clock, climbAfterMs, create, isMovable, reached }: ClimberOptions): Climber {
  let better: readonly TransportKind[] = []
  let tries = 0
  let timer: Timer | null = null
  let candidate: Transport | null = null
  /** Since when there has been nothing better; null while there is. */
  let bestSince: number | null = null

  const putOff = () => {
    timer = clock.after(climbAfterMs * Math.min(2 ** tries, maxFactor), () => {
      timer = null
      if (!isMovable()) return putOff()
      tries += 1
      attempt(better)
    })
  }

  const attempt = ([kind, ...others]: readonly TransportKind[]): void => {
    if (kind === undefined) return putOff()
    const isCandidate = () => candidate === tried
    let reports: TransportReports = {
      opened() {
        if (isCandidate()) tried.probe('network', answerMs)
      },
      heard() {
        if (!isCandidate()) return
        candidate = null
        if (isMovable()) {
          const why = new SluiceError('CONNECTION_LOST', 'A better transport works again, and takes over.')
          return reached(kind, tried, later => (reports = later), why)
        }
        tried.close()
        putOff()
      },
      received: () => {},
      interrupted: () => {},
      lost() {
        if (!isCandidate()) return
        candidate = null
        attempt(others)
      },
    }
    const tried = create(kind, {
      opened: () => reports.opened(),
      heard: () => reports.heard(),
      received: (message, size) => reports.received(message, size),
      interrupted: (ids, loss) => reports.interrupted(ids, loss),
      lost: loss => reports.lost(loss),
    })
    candidate = tried
  }

  const stop = () => {
    timer?.cancel()
    timer = null
    const stopped = candidate
    candidate = null
    stopped?.close()
  }

  return {
    watch(kinds) {
      better = kinds
      if (better.length === 0) {
        stop()
        bestSince ??= clock.now()
        return
      }
      if (bestSince !== null && clock.now() - bestSince >= climbAfterMs * steadyFactor) tries = 0
      bestSince = null
      if (!timer && !candidate) putOff()
    },
    stop,
  }
}
