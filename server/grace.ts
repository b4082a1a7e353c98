import type { Clock } from '../shared/clock.ts'
import { Rota } from './rota.ts'

/** Whether a promise settles, either way, within a time. It is not cancelled, and its rejection is left to others. */
export function settlesWithin(promise: Promise<unknown>, ms: number, clock: Clock): Promise<boolean> {
  return settlesBefore(promise, overdue => {
    const timer = clock.after(ms, overdue)
    return () => timer.cancel()
  })
}

/** The same within a time that is one for all who wait, hence by one timer: it is asked at each end of a subscription. */
export class Grace {
  readonly ms: number
  readonly #rota: Rota<() => void>

  /** @param ms in milliseconds. */
  constructor(ms: number, clock: Clock) {
    this.ms = ms
    this.#rota = new Rota(ms, clock, overdue => overdue())
  }

  settles(promise: Promise<unknown>): Promise<boolean> {
    return settlesBefore(promise, overdue => {
      this.#rota.add(overdue)
      return () => this.#rota.delete(overdue)
    })
  }
}

/** @param wait begins to wait for the moment when it is too late; returns the end of that. */
function settlesBefore(
  promise: Promise<unknown>,
  wait: (overdue: () => void) => () => void,
): Promise<boolean> {
  return new Promise(resolve => {
    const stopWaiting = wait(() => resolve(false))
    const settled = () => {
      stopWaiting()
      resolve(true)
    }
    promise.then(settled, settled)
  })
}
