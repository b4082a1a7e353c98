/**
 * A procedure is given a signal, and a subscription to a topic may stay open for days after the procedure has returned,
 * with nobody left who would hear of the abort: then its controller need not be kept (900 B of the 2,170 that a quiet
 * subscription took; Node 20).
 *
 * Two things must not happen: that a listener is forgotten together with the signal that it listens to, or that a
 * signal made of it by `AbortSignal.any`, which holds its sources weakly, is never aborted. So a controller is let go of
 * only where both can be seen not to be; and whoever has kept the signal and uses it later, which begins with a look
 * at `aborted` or with `addEventListener`, makes it be held again. Who merely keeps it hears of the abort all the same: as
 * long as there is the signal, there is its controller.
 */
import { getEventListeners } from 'node:events'

/** A controller, or the way back to one that nobody would hear of. */
export type Held = AbortController | WeakRef<AbortSignal>

/** Who holds a controller again when its signal is used after all. */
export interface Holder {
  hold(controller: AbortController): void
}

/** Lets go of a controller if its abort would make no difference. Returns what can be aborted in its place. */
export function letGo(controller: AbortController, holder: Holder): Held {
  const { signal } = controller
  if (pristineKeys === null || countListeners(signal) !== 0) return controller
  if (signal.aborted || Reflect.ownKeys(signal).length !== pristineKeys) return controller
  // By the signal itself, which makes a circle of the two: it lasts as long as somebody has the signal.
  Object.assign<AbortSignal, LetGo>(signal, { [letGoOf]: { controller, holder } })
  Object.setPrototypeOf(signal, holdsOnUse)
  return new WeakRef(signal)
}

export function abort(held: Held, reason: unknown): void {
  if (held instanceof AbortController) return held.abort(reason)
  const signal: (AbortSignal & Partial<LetGo>) | undefined = held.deref()
  signal?.[letGoOf]?.controller.abort(reason)
}

const letGoOf = Symbol('let go of')

interface LetGo {
  readonly [letGoOf]: { readonly controller: AbortController; readonly holder: Holder }
}

/** Whatever may be done with a signal begins with one of these two, `AbortSignal.any` and `fetch` included. */
const holdsOnUse: object = Object.create(AbortSignal.prototype, {
  aborted: {
    get(this: AbortSignal & LetGo) {
      holdAgain(this)
      return this.aborted
    },
  },
  addEventListener: {
    value(this: AbortSignal & LetGo, ...args: Parameters<AbortSignal['addEventListener']>) {
      holdAgain(this)
      this.addEventListener(...args)
    },
  },
})

function holdAgain(signal: AbortSignal & LetGo): void {
  Object.setPrototypeOf(signal, AbortSignal.prototype)
  const { controller, holder } = signal[letGoOf]
  holder.hold(controller)
}

/**
 * How many properties a signal has that nobody has used; null where it cannot be told that nobody has, and all are kept:
 * in Bun and Deno, and in Node 24, whose `AbortSignal.any` leaves no trace before somebody listens to what it made.
 */
const pristineKeys = countPristineKeys()

function countPristineKeys(): number | null {
  const { signal } = new AbortController()
  const count = Reflect.ownKeys(signal).length
  const listener = () => {}
  signal.addEventListener('abort', listener)
  if (countListeners(signal) !== 1) return null
  signal.removeEventListener('abort', listener)
  if (countListeners(signal) !== 0 || Reflect.ownKeys(signal).length !== count) return null
  AbortSignal.any([signal])
  return Reflect.ownKeys(signal).length > count ? count : null
}

function countListeners(signal: AbortSignal): number | null {
  try {
    return getEventListeners(signal, 'abort').length
  } catch {
    return null // not a signal of Node's: another runtime, or a browser's that a test has put in its place
  }
}
