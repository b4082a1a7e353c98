/**
 * Which transport the next attempt uses. The best one comes first; when it has failed a few times in a row, the
 * attempts alternate between all of them, so that a server that was merely down is found again by either. What worked
 * is remembered, and the best is given another try later. Pure: each function returns the next ladder.
 */
import type { TransportKind } from './machine.ts'

export interface Ladder {
  /** Best first; never empty. */
  readonly kinds: readonly [TransportKind, ...TransportKind[]]
  /** The last one on which something was received. */
  readonly proven: TransportKind | null
  /** When the best is to be tried again though another is proven, in milliseconds since the epoch. */
  readonly bestAgainAt: number
  /** Failures in a row, on whatever transport. */
  readonly failures: number
}

/** How long a transport that could not be had is left alone. */
export const bestAgainAfterMs = 5 * 60_000

/** Failures in a row until the attempts alternate: few for a transport that has never worked here. */
const patienceUnproven = 2
/** More for one that has: a server that restarts is likelier than a network that has begun to forbid it. */
const patienceProven = 5

export function createLadder(kinds: Ladder['kinds']): Ladder {
  return { kinds, proven: null, bestAgainAt: 0, failures: 0 }
}

/** The transport for an attempt that begins now. */
export function chooseTransport(ladder: Ladder, now: number): TransportKind {
  const preferred = preferredTransport(ladder, now)
  const turn = ladder.failures - patience(ladder, preferred)
  if (turn < 0) return preferred
  const others = ladder.kinds.filter(kind => kind !== preferred)
  return [...others, preferred][turn % ladder.kinds.length] ?? preferred
}

/** Something was received on this transport. */
export function transportWorked(ladder: Ladder, kind: TransportKind, now: number): Ladder {
  const fellBack = kind !== ladder.kinds[0] && ladder.proven !== kind
  return {
    ...ladder,
    proven: kind,
    failures: 0,
    bestAgainAt: fellBack ? now + bestAgainAfterMs : ladder.bestAgainAt,
  }
}

/** An attempt with this transport ended before anything was received. */
export function transportFailed(ladder: Ladder, kind: TransportKind, now: number): Ladder {
  const triedBestAgain = kind === ladder.kinds[0] && ladder.proven !== null && ladder.proven !== kind
  return {
    ...ladder,
    failures: ladder.failures + 1,
    bestAgainAt: triedBestAgain ? now + bestAgainAfterMs : ladder.bestAgainAt,
  }
}

function preferredTransport({ kinds, proven, bestAgainAt }: Ladder, now: number): TransportKind {
  return proven === null || now >= bestAgainAt ? kinds[0] : proven
}

function patience({ proven }: Ladder, preferred: TransportKind): number {
  if (proven === null) return patienceUnproven
  // Another try of the best while a worse one works: once.
  return preferred === proven ? patienceProven : 1
}
