/**
 * How long a consumer without room may hold a response that it shares. It stops the reading of it, and so the neighbours
 * on it, too: over HTTP there is no other way to tell the server. Nothing is lost, and what is held is bounded. When
 * that has taken too long, it is let go of, and asks again, after its cursor, when it has taken what it has: then on
 * another response than they.
 */
import type { Clock, Timer } from '../../shared/clock.ts'
import type { Flow } from '../subscriptions/inbox.ts'

/** How long in all one may stop its neighbours, in milliseconds. */
const maxStoppedMs = 500

/** One that shares a response. */
export interface Sharer {
  /** The response that carries it. */
  on: number | null
  readonly asked: { readonly flow: Flow | undefined }
  /** How long its neighbours were stopped for it, in milliseconds. */
  stoppedMs: number
}

/** One without room, on a response or on any. Asked for each piece that is read. */
export function fullOne<T extends Sharer>(sharers: Iterable<T>, on?: number): T | undefined {
  for (const sharer of sharers) {
    if ((on === undefined || sharer.on === on) && sharer.asked.flow?.full) return sharer
  }
  return undefined
}

/** Settles when it has room, or its neighbours need not wait for that any more: `letGo` says whether they need not. */
export async function roomFor(sharer: Sharer, clock: Clock, letGo: () => boolean): Promise<void> {
  const from = clock.now()
  let timer: Timer | undefined
  const patience = new Promise<void>(resolve => {
    timer = clock.after(maxStoppedMs - sharer.stoppedMs, () => {
      if (letGo()) resolve()
    })
  })
  await Promise.race([sharer.asked.flow?.whenRoom(), patience])
  timer?.cancel()
  sharer.stoppedMs += clock.now() - from
}
