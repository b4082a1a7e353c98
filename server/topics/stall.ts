/**
 * How long a connection may take nothing. A subscriber that pushes sees the connection, and waits for its room no
 * longer. One that is asked item by item does not: where an application's generator passes its items on, it is simply
 * not asked. Whoever asks that generator finds the limit here, by the signal that it has given to the procedure and
 * the procedure to the topic.
 */
import type { Clock } from '../../shared/clock.ts'
import { SluiceError } from '../../shared/errors.ts'
import type { Outgoing } from './sink.ts'
import type { WhenSlow } from './when-slow.ts'

/** One that is asked item by item, as far as its policy goes. */
interface Slowed {
  readonly whenSlow: WhenSlow<never>
}

const slowed = new WeakMap<AbortSignal, Set<Slowed>>()

/** Makes the limit of one known, if it has any, to whoever asks for its items by this signal. */
export function limitStall(signal: AbortSignal, one: Slowed): void {
  if (limitOf(one) === Infinity) return
  const others = slowed.get(signal)
  if (others) others.add(one)
  else slowed.set(signal, new Set([one]))
}

/** Takes that back. */
export function unlimitStall(signal: AbortSignal, one: Slowed): void {
  slowed.get(signal)?.delete(one)
}

/**
 * Waits for room as long as those may whose items are asked for by this signal. @throws SluiceError `STALLED`, unless it
 * was aborted meanwhile: who has left does not stall.
 */
export function roomUnder(
  signal: AbortSignal,
  room: Promise<void>,
  outgoing: Outgoing | null | undefined,
  clock: Clock,
): Promise<void> {
  const afterMs = Math.min(...Array.from(slowed.get(signal) ?? [], limitOf))
  if (afterMs === Infinity) return room
  return roomWithin(room, outgoing, afterMs, clock).catch((stalled: unknown) => {
    if (!signal.aborted) throw stalled
  })
}

/** Waits for room as long as this one may. @throws SluiceError `STALLED` when nothing was taken for so long. */
export function roomFor(
  one: Slowed,
  room: Promise<void>,
  outgoing: Outgoing | null | undefined,
  clock: Clock,
): Promise<void> {
  return roomWithin(room, outgoing, limitOf(one), clock)
}

/** In milliseconds; Infinity where it may wait for ever. */
function limitOf({ whenSlow }: Slowed): number {
  return whenSlow !== 'wait' && whenSlow.policy === 'disconnect' ? whenSlow.afterMs : Infinity
}

/** How often it is looked at within that time whether something was taken: so it may be exceeded by as much. */
const looks = 4

function roomWithin(
  room: Promise<void>,
  outgoing: Outgoing | null | undefined,
  afterMs: number,
  clock: Clock,
): Promise<void> {
  if (afterMs === Infinity) return room
  // Up to the last byte that waits now: what comes later is others', for who waits sends nothing.
  const last = outgoing ? outgoing.takenBytes + outgoing.bufferedBytes : 0
  const takenNow = () => Math.min(outgoing?.takenBytes ?? 0, last)
  return new Promise((resolve, reject) => {
    let taken = takenNow()
    let looksInVain = 0
    const look = () => {
      const before = taken
      taken = takenNow()
      looksInVain = taken > before ? 0 : looksInVain + 1
      if (looksInVain === looks) reject(stalled(afterMs))
      else timer = clock.after(afterMs / looks, look)
    }
    let timer = clock.after(afterMs / looks, look)
    const settled = () => {
      timer.cancel()
      resolve()
    }
    room.then(settled, settled)
  })
}

function stalled(afterMs: number): SluiceError {
  const message = `The client has taken nothing for ${afterMs} ms. Resume with the last cursor.`
  return new SluiceError('STALLED', message, { data: { afterMs } })
}
