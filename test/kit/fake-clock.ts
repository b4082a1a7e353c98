/** A clock that stands still until it is told to go on, with a random source that repeats itself by its seed. */
import type { Clock, Timer } from '../../shared/clock.ts'

export interface FakeClockOptions {
  /** Milliseconds since the epoch at the start; default 0. */
  readonly now?: number
  /** Seed of `random()`; default 1. The same seed gives the same numbers. */
  readonly seed?: number
}

export interface FakeClock extends Clock {
  /** Timers that have neither fired nor been cancelled. */
  readonly pending: number
  /** When the next timer fires, in milliseconds since the epoch; null if none is waiting. */
  readonly next: number | null
  /**
   * Moves the time on by `ms`, firing each timer at its own time and in order, those that they set included. Promises
   * that a timer settles are given the time to be acted upon before the next timer fires.
   */
  advance(ms: number): Promise<void>
}

interface Waiting {
  readonly at: number
  readonly fire: () => void
}

/**
 * @example
 * ```ts
 * const clock = createFakeClock()
 * const backoff = startBackoff({ clock })
 * await clock.advance(30_000)
 * ```
 */
export function createFakeClock({ now = 0, seed = 1 }: FakeClockOptions = {}): FakeClock {
  let time = now
  const timers = new Set<Waiting>()

  /** The earliest; of those at one time, the one that was set first: a Set keeps that order. */
  const earliest = (): Waiting | null => {
    let first: Waiting | null = null
    for (const timer of timers) if (first === null || timer.at < first.at) first = timer
    return first
  }

  return {
    now: () => time,
    random: seededRandom(seed),
    after(ms, fire): Timer {
      const timer = { at: time + Math.max(0, ms), fire }
      timers.add(timer)
      const cancel = () => void timers.delete(timer)
      return { cancel }
    },
    get pending() {
      return timers.size
    },
    get next() {
      return earliest()?.at ?? null
    },
    async advance(ms) {
      const until = time + ms
      await settle()
      for (let timer = earliest(); timer && timer.at <= until; timer = earliest()) {
        timers.delete(timer)
        time = timer.at
        timer.fire()
        await settle()
      }
      time = until
    },
  }
}

/** Comes back when every promise chain that can go on by itself has done so: they all run before a macrotask. */
function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

/** Numbers in [0, 1) that depend on the seed alone (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}
