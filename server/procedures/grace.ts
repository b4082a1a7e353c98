import type { Clock } from '../../shared/clock.ts'
import { Rota } from '../rota.ts'

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
    return new Promise(resolve => {
      const overdue = () => resolve(false)
      const settled = () => {
        this.#rota.delete(overdue)
        resolve(true)
      }
      this.#rota.add(overdue)
      promise.then(settled, settled)
    })
  }
}
