/** Time and chance as a value to hand in, so that a test can hold both still. */

export interface Timer {
  /** Cancels the timer; harmless after it has fired. */
  cancel(): void
}

export interface TimerOptions {
  /** Whether the process (of Node) stays alive while the timer waits; default false. */
  readonly keepAlive?: boolean
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /**
   * Calls `fire` once, `ms` milliseconds from now. A waiting timer does not keep a process alive, unless it is told
   * to: one that a program has reason to wait for.
   */
  after(ms: number, fire: () => void, options?: TimerOptions): Timer
  /** A random number in [0, 1). */
  random(): number
}

// setTimeout takes a signed 32-bit delay: a longer one would fire at once.
const maxDelayMs = 2 ** 31 - 1

/** In Node an object that can be told not to hold the process; in browsers a number. */
type Handle = { unref?(): void }

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, fire, options) {
    const handle: Handle = setTimeout(fire, Math.min(Math.max(0, ms), maxDelayMs))
    if (!options?.keepAlive) handle.unref?.()
    return { cancel: () => clearTimeout(handle as Parameters<typeof clearTimeout>[0]) }
  },
  random: () => Math.random(),
}

/**
 * Milliseconds since it was made: small numbers, which cost nothing to keep where a time since 1970 takes 16 B for each
 * (Node 20).
 */
export function elapsedOf(clock: Clock): () => number {
  const startedAt = clock.now()
  return () => clock.now() - startedAt
}

/** A promise that settles after `ms`, or at once when the signal is aborted; it never rejects. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve()
  return new Promise(resolve => {
    const done = () => {
      timer.cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = clock.after(ms, done)
    signal?.addEventListener('abort', done, { once: true })
  })
}
