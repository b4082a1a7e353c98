/**
 * Notices a peer that has fallen silent. It goes by the clock and not by its timers alone: those of a hidden tab are
 * held back, and a timer that fires late says nothing about the peer. So a silence is never taken for a death at
 * once: first the peer is asked (where the transport can ask), then it has time to answer.
 */
import type { Clock, Timer } from '../../shared/clock.ts'

export interface WatchdogOptions {
  readonly clock: Clock
  /** Silence after which the peer is asked, in milliseconds; `Infinity`: it may be silent for ever. */
  readonly quietMs: number
  /** Time to answer, in milliseconds. */
  readonly answerMs: number
  /** Asks the peer for a sign of life. Left out where that cannot be done: then it is only waited for. */
  readonly ask?: () => void
  /** The peer did not answer; called at most once. */
  readonly onSilent: () => void
}

export class Watchdog implements Disposable {
  readonly #options: WatchdogOptions
  #lastHeard: number
  #heardSinceAsked = false
  /** Until when a question of ours may go unanswered; null while there is none. */
  #answerUntil: number | null = null
  #timer: Timer | null = null

  /** Begins to watch at once. */
  constructor(options: WatchdogOptions) {
    this.#options = options
    this.#lastHeard = options.clock.now()
    this.#watch()
  }

  /** True when the peer has been silent for as long as it may be. */
  get overdue(): boolean {
    return this.#silentForMs() >= this.#options.quietMs
  }

  /** Something came from the peer, whatever it was. On the path of every message: no timer is touched here. */
  heard(): void {
    this.#lastHeard = this.#options.clock.now()
    this.#heardSinceAsked = true
  }

  /**
   * Asks the peer now, and gives it so long to answer; or less, where it still owes an answer from before. So hints
   * that keep coming do not put the verdict off.
   *
   * @param onSilent called in place of the option of that name.
   */
  probe(withinMs: number, onSilent = this.#options.onSilent): void {
    const now = this.#options.clock.now()
    const owedUntil = this.#heardSinceAsked ? null : this.#answerUntil
    this.#options.ask?.()
    this.#heardSinceAsked = false
    this.#answerUntil = Math.min(now + withinMs, owedUntil ?? Infinity)
    this.#set(this.#answerUntil - now, () => {
      this.#answerUntil = null
      if (this.#heardSinceAsked) return this.#watch()
      this.#timer = null
      onSilent()
    })
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  [Symbol.dispose](): void {
    this.stop()
  }

  /** Sleeps for what is left of the time that the peer may be silent, as far as that is known by now. */
  #watch(): void {
    this.#set(this.#options.quietMs - this.#silentForMs(), () => {
      if (this.overdue) this.probe(this.#options.answerMs)
      else this.#watch()
    })
  }

  #set(ms: number, fire: () => void): void {
    this.#timer?.cancel()
    // Infinity: not to be watched.
    this.#timer = ms === Infinity ? null : this.#options.clock.after(ms, fire)
  }

  #silentForMs(): number {
    return this.#options.clock.now() - this.#lastHeard
  }
}
