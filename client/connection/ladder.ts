/**
 * Which transport the next attempt uses. The best one comes first; when it has failed a few times in a row, the
 * attempts alternate between all of them, so that a server that was merely down is found again by either. What worked
 * is remembered; the way back up is climber.ts's.
 */
import type { Loss } from '../transports/transport.ts'
import type { TransportKind, Via } from './machine.ts'

export interface Ladder {
  /** The transport for the next attempt. */
  choose(): TransportKind
  /** Something was received on this transport. */
  worked(via: Via): void
  /**
   * This one is lost.
   *
   * @param heard whether anything was received on it before.
   * @returns whether there is no such transport, but another.
   */
  lost(via: Via, heard: boolean, loss: Pick<Loss, 'unsupported'>): boolean
}

/** Failures in a row until the attempts alternate: few for a transport that has never worked here. */
const patienceUnproven = 2
/** More for one that has: a server that restarts is likelier than a network that has begun to forbid it. */
const patienceProven = 5

/** @param kinds best first. */
export function createLadder(kinds: readonly TransportKind[]): Ladder {
  /** What there is to choose from: first the last one on which something was received, then the others, best first. */
  let order = kinds
  /** With the first of them. */
  let patience = patienceUnproven
  /** In a row, on whatever transport. */
  let failures = 0
  return {
    choose() {
      const turn = failures - patience
      return order[turn < 0 ? 0 : (turn + 1) % order.length] as TransportKind // there always is one
    },
    worked(via) {
      if (via === 'tab') return // another tab looks after that
      order = [via, ...kinds.filter(one => one !== via && order.includes(one))]
      patience = patienceProven
      failures = 0
    },
    lost(via, heard, { unsupported }) {
      const others = order.filter(one => one !== via)
      if (!unsupported || others.length === 0) {
        if (!heard && via !== 'tab') failures += 1
        return false
      }
      if (order[0] === via) patience = patienceUnproven
      order = others
      failures = patience // who had come down to it goes on to the next, and not up again first
      return true
    },
  }
}
