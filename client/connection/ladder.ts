/**
 * Which transport the next attempt uses. The best one comes first; when it has failed a few times in a row, the
 * attempts alternate between all of them, so that a server that was merely down is found again by either. What worked
 * is remembered; the way back up is climber.ts's.
 */
import type { TransportKind, Via } from './machine.ts'

export interface Ladder {
  /** The transport for the next attempt. */
  choose(): TransportKind
  /** Something was received on this transport. */
  worked(kind: TransportKind): void
  /** An attempt ended before anything was received. */
  failed(): void
  /** The server, or somebody on the way, has said that there is no such transport; false if there is no other, either. */
  bar(kind: TransportKind): boolean
  /** Those that would be better than this one, best first: none where another tab looks after that. */
  betterThan(via: Via): readonly TransportKind[]
}

/** Failures in a row until the attempts alternate: few for a transport that has never worked here. */
const patienceUnproven = 2
/** More for one that has: a server that restarts is likelier than a network that has begun to forbid it. */
const patienceProven = 5

/** @param kinds best first. */
export function createLadder(kinds: readonly [TransportKind, ...TransportKind[]]): Ladder {
  /** Never all of them. */
  const barred = new Set<TransportKind>()
  /** The last one on which something was received. */
  let proven: TransportKind | null = null
  /** In a row, on whatever transport. */
  let failures = 0
  const othersThan = (kind: TransportKind | null) => kinds.filter(one => one !== kind && !barred.has(one))
  return {
    choose() {
      const preferred = proven ?? othersThan(null)[0] ?? kinds[0]
      const turn = failures - (proven ? patienceProven : patienceUnproven)
      if (turn < 0) return preferred
      const order = [...othersThan(preferred), preferred]
      return order[turn % order.length] ?? preferred
    },
    worked(kind) {
      barred.delete(kind)
      proven = kind
      failures = 0
    },
    failed() {
      failures += 1
    },
    bar(kind) {
      if (othersThan(kind).length === 0) return false
      barred.add(kind)
      if (proven === kind) proven = null
      // Who had come down to it goes on to the next, and not up again first.
      failures = Math.max(failures, patienceUnproven)
      return true
    },
    betterThan: via => (via === 'tab' ? [] : kinds.slice(0, kinds.indexOf(via))),
  }
}
