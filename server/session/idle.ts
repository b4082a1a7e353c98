/** Ends a connection of which nobody wants anything. One timer, moved at most once per period. */
import type { Clock, Timer } from '../../shared/clock.ts'

export interface IdleWatch extends Disposable {
  /** Something was asked, or has ended just now. */
  active(): void
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

  const watch = () => {
    if (peer.isBusy()) activeAt = clock.now()
    const leftMs = activeAt + idleMs - clock.now()
    if (leftMs > 0) timer = clock.after(leftMs, watch)
    else peer.end()
  }
  timer = clock.after(idleMs, watch)

  return {
    active() {
      activeAt = clock.now()
    },
    [Symbol.dispose]: () => timer?.cancel(),
  }
}
