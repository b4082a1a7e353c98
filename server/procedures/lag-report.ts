/** Tells a client how far behind its subscription is: now and then, and only what is news. */
import type { Clock, Timer } from '../../shared/clock.ts'
import type { Lag } from '../../shared/items.ts'
import type { Feeding } from '../topics/sink.ts'

const everyMs = 1_000

/**
 * @param tell called at most once a second, when the lag is another than before, at first than 0, and not before the
 *   last call has settled; asks for the latest when it can be told. Must not reject.
 */
export function reportLag(
  feeding: Feeding,
  clock: Clock,
  tell: (latest: () => Lag | null) => Promise<void>,
): Disposable {
  let told: Lag = { events: 0, ms: 0 }
  let over = false
  let timer: Timer | null = null
  const now = (): Lag => ({ events: feeding.lag, ms: Math.round(feeding.lagMs) })
  const latest = () => (over ? null : (told = now()))
  const wait = () => {
    if (!over) timer = clock.after(everyMs, look)
  }
  const look = () => {
    const { events, ms } = now()
    if (events === told.events && ms === told.ms) wait()
    else void tell(latest).then(wait)
  }
  wait()
  return {
    [Symbol.dispose]() {
      over = true
      timer?.cancel()
    },
  }
}
