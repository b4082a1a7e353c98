/**
 * Ends a connection of which nobody wants anything. One timer, moved at most once per period, and none while a
 * subscription runs: most connections have one, and nothing to be watched for.
 */
import type { Clock, Timer } from '../../shared/clock.ts'

export interface IdleWatch extends Disposable {
  /** Something was asked, or has ended just now. */
  active(): void
  /** Something is in hand that will last; `active` is called when it has ended. */
  hold(): void
}

/**
 * @param peer `isBusy` while something is in hand; `end` is called once, after `idleMs` in which nothing was.
 */
export function startIdleWatch(
  idleMs: number,
  clock: Clock,
  peer: { isBusy(): boolean; end(): void },
): IdleWatch {
  let activeAt = clock.now()
  let timer: Timer | null = null
  let over = false

  const watch = () => {
    timer = null
    if (peer.isBusy()) return // until its end is told
    const leftMs = activeAt + idleMs - clock.now()
    if (leftMs > 0) timer = clock.after(leftMs, watch)
    else peer.end()
  }
  const hold = () => {
    timer?.cancel()
    timer = null
  }
  timer = clock.after(idleMs, watch)

  return {
    active() {
      activeAt = clock.now()
      if (!over && !peer.isBusy()) timer ??= clock.after(idleMs, watch)
    },
    hold,
    // What outlives the connection tells of its end, too.
    [Symbol.dispose]() {
      over = true
      hold()
    },
  }
}
