import type { Clock } from '../../shared/clock.ts'

/** Whether a promise settles, either way, within a time. It is not cancelled, and its rejection is left to others. */
export function settlesWithin(promise: Promise<unknown>, ms: number, clock: Clock): Promise<boolean> {
  return new Promise(resolve => {
    const timer = clock.after(ms, () => resolve(false))
    const settled = () => {
      timer.cancel()
      resolve(true)
    }
    promise.then(settled, settled)
  })
}
