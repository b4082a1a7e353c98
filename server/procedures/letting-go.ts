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

const controllers = new WeakMap<AbortSignal, AbortController>()

/**
 * Lets go of a controller if its abort would make no difference.
 *
 * @param hold called with the controller when somebody uses its signal after all.
 * @returns what can be aborted in its place.
 */
export function letGo(controller: AbortController, hold: (controller: AbortController) => void): Held {
  const { signal } = controller
  if (pristineKeys === null || getEventListeners(signal, 'abort').length > 0) return controller
  if (signal.aborted || Reflect.ownKeys(signal).length !== pristineKeys) return controller
  controllers.set(signal, controller)
  holdOnUse(signal, () => hold(controller))
  return new WeakRef(signal)
}

export function abort(held: Held, reason: unknown): void {
  if (held instanceof AbortController) return held.abort(reason)
  const signal = held.deref()
  if (signal) controllers.get(signal)?.abort(reason)
}

/** Whatever may be done with a signal begins with one of these two, `AbortSignal.any` and `fetch` included. */
function holdOnUse(signal: AbortSignal, hold: () => void): void {
  const release = () => {
    Reflect.deleteProperty(signal, 'aborted')
    Reflect.deleteProperty(signal, 'addEventListener')
    hold()
  }
  Object.defineProperties(signal, {
    aborted: {
      configurable: true,
      get() {
        release()
        return signal.aborted
      },
    },
    addEventListener: {
      configurable: true,
      value(...args: Parameters<AbortSignal['addEventListener']>) {
        release()
        signal.addEventListener(...args)
      },
    },
  })
}

/** How many properties a signal has that nobody has used; null where it cannot be told that nobody has. */
const pristineKeys = countPristineKeys()

function countPristineKeys(): number | null {
  const { signal } = new AbortController()
  const count = Reflect.ownKeys(signal).length
  const listener = () => {}
  signal.addEventListener('abort', listener)
  const hasTold = getEventListeners(signal, 'abort').length === 1
  signal.removeEventListener('abort', listener)
  if (!hasTold || Reflect.ownKeys(signal).length !== count) return null
  AbortSignal.any([signal])
  return Reflect.ownKeys(signal).length > count ? count : null
}
