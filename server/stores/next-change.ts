import type { Clock } from '../../shared/clock.ts'
import type { Store } from './store.ts'

/** How often who waits for a log looks, in milliseconds: a lease that is let go of is no change that the store tells. */
const lookEveryMs = 1_000

export interface NextChange extends Disposable {
  /** Settles when the log may have changed since it was watched, or it is time to look again. */
  readonly heard: Promise<void>
}

/** Watches a log for its next change; what has changed before is not told, so whoever wants no delay looks after this. */
export function watchNextChange(store: Store, log: string, clock: Clock): NextChange {
  let hear = () => {}
  const heard = new Promise<void>(resolve => (hear = resolve))
  const stop = store.watch(log, () => hear()) // first, for it may throw
  const timer = clock.after(lookEveryMs, () => hear())
  return {
    heard,
    [Symbol.dispose]() {
      stop()
      timer.cancel()
    },
  }
}
