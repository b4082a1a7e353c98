/**
 * Which transport the next attempt uses. The best one comes first; when it has failed a few times in a row, the
 * attempts alternate between all of them, so that a server that was merely down is found again by either. What worked
 * is remembered; the way back up is climber.ts's. Pure: each function returns the next ladder.
 */
import type { TransportKind, Via } from './machine.ts'

export interface Ladder {
  /** Best first; never empty. */
  readonly kinds: readonly [TransportKind, ...TransportKind[]]
  /** Those of which the server, or somebody on the way, has said that there are none; never all. */
  readonly barred: readonly TransportKind[]
  /** The last one on which something was received. */
  readonly proven: TransportKind | null
  /** Failures in a row, on whatever transport. */
  readonly failures: number
}

/** Failures in a row until the attempts alternate: few for a transport that has never worked here. */
const patienceUnproven = 2
/** More for one that has: a server that restarts is likelier than a network that has begun to forbid it. */
const patienceProven = 5

export function createLadder(kinds: Ladder['kinds']): Ladder {
  return { kinds, barred: [], proven: null, failures: 0 }
}

/** The transport for the next attempt. */
export function chooseTransport(ladder: Ladder): TransportKind {
  const usable = ladder.kinds.filter(kind => !ladder.barred.includes(kind))
  const preferred = ladder.proven ?? usable[0] ?? ladder.kinds[0]
  const turn = ladder.failures - (preferred === ladder.proven ? patienceProven : patienceUnproven)
  if (turn < 0) return preferred
  const others = usable.filter(kind => kind !== preferred)
  return [...others, preferred][turn % usable.length] ?? preferred
}

/** Something was received on this transport. */
export function transportWorked(ladder: Ladder, kind: TransportKind): Ladder {
  const barred = ladder.barred.filter(other => other !== kind)
  return { ...ladder, barred, proven: kind, failures: 0 }
}

/** An attempt with this transport ended before anything was received. */
export function transportFailed(ladder: Ladder): Ladder {
  return { ...ladder, failures: ladder.failures + 1 }
}

/** There is no such transport here; null if there is no other, either. */
export function transportBarred(ladder: Ladder, kind: TransportKind): Ladder | null {
  const barred = [...ladder.barred, kind]
  if (ladder.kinds.every(other => barred.includes(other))) return null
  const proven = ladder.proven === kind ? null : ladder.proven
  // Who had come down to it goes on to the next, and not up again first.
  return { ...ladder, barred, proven, failures: Math.max(ladder.failures, patienceUnproven) }
}

/** Those that would be better than this one, best first: none where another tab looks after that. */
export function betterThan({ kinds }: Ladder, via: Via): readonly TransportKind[] {
  return via === 'tab' ? [] : kinds.slice(0, kinds.indexOf(via))
}
