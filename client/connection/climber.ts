/**
 * The way back up: while a lesser transport works, the better ones are tried beside it from time to time. One that
 * opens and brings an answer takes over, and nothing is lost, for all go on by their cursors. While somebody has no
 * cursor to go on from, nothing is changed.
 */
import { SluiceError } from '../../shared/errors.ts'
import type { Timer } from '../../shared/clock.ts'
import type { ResolvedOptions } from '../options.ts'
import type { CreateTransport } from '../transports/lazy.ts'
import type { Transport, TransportFactory, TransportReports } from '../transports/transport.ts'
import type { TransportKind } from './machine.ts'

/** A transport to which there may be a better one. */
export interface LesserTransport extends Transport {
  /** Whether all that it carries could go on over another from where it is. */
  movable(): boolean
}

export type OpenLesser = (options: ResolvedOptions, reports: TransportReports) => LesserTransport

/** What a link's transports of this kind do beside their work, for as long as each of them is open. */
export function climbing(kind: TransportKind, open: OpenLesser): CreateTransport {
  return (options, reports, create) => {
    const movable = () => transport.movable()
    const climber = createClimber(kind, options, reports, movable, create)
    const transport = open(options, {
      ...reports,
      opened() {
        climber.start()
        reports.opened()
      },
      lost(loss) {
        climber.stop()
        reports.lost(loss)
      },
    })
    const close = () => {
      climber.stop()
      transport.close()
    }
    return { ...transport, close }
  }
}

/** With each try, the next one is put off for twice as long, up to so many times the first. */
const maxFactor = 128

/** Who has not been on a lesser transport for so many first delays did not climb in vain. */
const steadyFactor = 5

/** How long a candidate has to answer once it is open. */
const answerMs = 2_000

/** What outlives a transport, for each link by its options. */
interface Climb {
  /** Those after which one soon fell down again. */
  tries: number
  /** Lesser transports that are open: the one in use, and one that is better and is being tried. */
  open: number
  /** When the last of them was left. */
  leftAt: number
}

const climbs = new WeakMap<ResolvedOptions, Climb>()

interface Climber {
  /** The lesser transport works. */
  start(): void
  /** It does no more, or is not needed. */
  stop(): void
}

/** @param reports what the lesser transport reports to. @param movable of that transport. */
function createClimber(
  kind: TransportKind,
  options: ResolvedOptions,
  reports: TransportReports,
  movable: () => boolean,
  create: TransportFactory,
): Climber {
  const { clock, climbAfterMs, transports } = options
  const better = transports.slice(0, transports.indexOf(kind))
  const climb: Climb = climbs.get(options) ?? { tries: 0, open: 0, leftAt: Infinity }
  climbs.set(options, climb)
  let started = false
  let timer: Timer | null = null
  let candidate: Transport | null = null

  const putOff = () => {
    timer = clock.after(climbAfterMs * Math.min(2 ** climb.tries, maxFactor), () => {
      if (!movable()) return putOff()
      climb.tries += 1
      attempt(better)
    })
  }

  const attempt = ([next, ...others]: readonly TransportKind[]): void => {
    if (next === undefined) return putOff()
    const isCandidate = () => candidate === tried
    /** To whom it reports once it has taken over. */
    let above: TransportReports | null = null
    const tried = create(next, {
      opened() {
        if (isCandidate()) tried.probe('network', answerMs)
      },
      heard() {
        if (!isCandidate()) return
        candidate = null
        if (movable()) {
          const why = new SluiceError('CONNECTION_LOST', 'A better transport works again, and takes over.')
          return reports.replaced(tried, why, later => (above = later))
        }
        tried.close()
        putOff()
      },
      received: message => above?.received(message),
      interrupted: (ids, loss) => above?.interrupted(ids, loss),
      lost(loss) {
        above?.lost(loss)
        if (!isCandidate()) return
        candidate = null
        attempt(others)
      },
      replaced: (by, why, takeOver) => above?.replaced(by, why, takeOver),
    })
    candidate = tried
  }

  return {
    start() {
      if (better.length === 0) return
      if (climb.open === 0 && clock.now() - climb.leftAt >= climbAfterMs * steadyFactor) climb.tries = 0
      climb.open += 1
      started = true
      putOff()
    },
    stop() {
      if (!started) return
      started = false
      climb.open -= 1
      climb.leftAt = clock.now()
      timer?.cancel()
      const stopped = candidate
      candidate = null
      stopped?.close()
    },
  }
}
