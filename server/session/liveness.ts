/**
 * Heartbeats: a peer that has been quiet is asked for a sign of life, and one that stays quiet is cut off. Any
 * message counts as a sign, so a busy connection is never asked. One timer, moved at most once per period: nothing
 * is re-armed per message.
 */
import type { Clock, Timer } from '../../shared/clock.ts'

export interface KeepAlive {
  readonly enabled: boolean
  /** How long a peer may be quiet before it is asked, in milliseconds; default 30,000. */
  readonly pingMs?: number
  /** How long it may take to answer, in milliseconds; default 5,000. */
  readonly pongWaitMs?: number
}

export interface Heartbeat extends Disposable {
  /** The peer was heard. */
  heard(): void
}

export function startHeartbeat(
  keepAlive: KeepAlive,
  clock: Clock,
  peer: { ping(): void; cutOff(): void },
): Heartbeat {
  const { enabled, pingMs = 30_000, pongWaitMs = 5_000 } = keepAlive
  let heardAt = clock.now()
  let timer: Timer | null = null

  const watch = () => {
    const quietMs = clock.now() - heardAt
    if (quietMs < pingMs) {
      timer = clock.after(pingMs - quietMs, watch)
      return
    }
    const askedAt = clock.now()
    peer.ping()
    timer = clock.after(pongWaitMs, () => {
      if (heardAt < askedAt) peer.cutOff()
      else watch()
    })
  }
  if (enabled) timer = clock.after(pingMs, watch)

  return {
    heard() {
      heardAt = clock.now()
    },
    [Symbol.dispose]: () => timer?.cancel(),
  }
}
