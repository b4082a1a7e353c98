/**
 * Notices a peer that has fallen silent. It goes by the clock and not by its timers alone: those of a hidden tab are
 * held back, and a timer that fires late says nothing about the peer. So a silence is never taken for a death at
 * once: first the peer is asked (where the transport can ask), then it has time to answer.
 */
import type { Clock, Timer } from '../../shared/clock.ts'

export interface WatchdogOptions {
  readonly clock: Clock
  /** Silence after which the peer is asked, in milliseconds; `Infinity`: it may be silent for ever. */
  readonly heartbeatMs: number
  /** Time to answer, in milliseconds. */
  readonly heartbeatTimeoutMs: number
  /**
   * How long the peer is given for its first word before it is asked for one, in milliseconds; what is left of
   * `heartbeatTimeoutMs` then is its time to answer. Default: it may begin with a silence like any other.
   */
  readonly firstWordMs?: number | undefined
  /** Asks the peer for a sign of life. Left out where that cannot be done: then it is only waited for. */
  readonly ask?: () => void
  /** The peer did not answer; called at most once. */
  readonly onSilent: () => void
}

export interface Watchdog {
  /** True when the peer has been silent for as long as it may be. */
  isOverdue(): boolean
  /** Something came from the peer, whatever it was. On the path of every message: no timer is touched here. */
  heard(): void
  /**
   * Asks the peer now, and gives it so long to answer; or less, where it still owes an answer from before. So hints
   * that keep coming do not put the verdict off.
   *
   * @param onSilent called in place of the option of that name.
   */
  probe(withinMs: number, onSilent?: () => void): void
  stop(): void
}

/** Begins to watch at once. */
export function createWatchdog({
  clock,
  heartbeatMs,
  heartbeatTimeoutMs,
  firstWordMs,
  ask,
  onSilent,
}: WatchdogOptions): Watchdog {
  let lastHeard = clock.now()
  /** Until when a question of ours may go unanswered; Infinity while there is none. */
  let answerUntil = Infinity
  let timer: Timer | undefined

  const set = (ms: number, fire: () => void) => {
    timer?.cancel()
    if (ms < Infinity) timer = clock.after(ms, fire)
  }

  /** Sleeps for what is left of the time that the peer may be silent, as far as that is known by now. */
  const watch = () =>
    set(lastHeard + heartbeatMs - clock.now(), () => {
      if (watchdog.isOverdue()) watchdog.probe(heartbeatTimeoutMs)
      else watch()
    })

  const watchdog: Watchdog = {
    isOverdue: () => clock.now() - lastHeard >= heartbeatMs,
    heard() {
      lastHeard = clock.now()
      answerUntil = Infinity
    },
    probe(withinMs, verdict = onSilent) {
      const now = clock.now()
      ask?.()
      answerUntil = Math.min(now + withinMs, answerUntil)
      set(answerUntil - now, () => {
        if (answerUntil === Infinity) watch()
        else verdict()
      })
    },
    stop() {
      timer?.cancel()
    },
  }
  if (firstWordMs === undefined || heartbeatMs === Infinity) watch()
  else {
    // As if it had been asked already.
    answerUntil = lastHeard + heartbeatTimeoutMs
    set(firstWordMs, () => {
      if (answerUntil === Infinity) watch()
      else watchdog.probe(heartbeatTimeoutMs)
    })
  }
  return watchdog
}
