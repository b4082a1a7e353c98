/** The heartbeat of a streamed response: a sign of life after each silence. */
import type { AnyTRPCRouter } from '@trpc/server'
import type { Clock, Timer } from '../../shared/clock.ts'
import type { Extensions } from '../../shared/protocol/negotiate.ts'

export type SseConfig = NonNullable<AnyTRPCRouter['_def']['_config']['sse']>

export interface PulseOptions {
  readonly clock: Clock
  /** Silence after which there is a beat, in milliseconds. */
  readonly everyMs: number
  beat(): void
}

/** One timer, moved once per period and not per event. */
export class Pulse implements Disposable {
  readonly #options: PulseOptions
  #sentAt: number
  #timer: Timer

  constructor(options: PulseOptions) {
    this.#options = options
    const { clock, everyMs } = options
    this.#sentAt = clock.now()
    this.#timer = clock.after(everyMs, () => this.#watch())
  }

  /** Something was sent, which is a sign of life, too. */
  sent(): void {
    this.#sentAt = this.#options.clock.now()
  }

  [Symbol.dispose](): void {
    this.#timer.cancel()
  }

  #watch(): void {
    const { clock, everyMs, beat } = this.#options
    const quietMs = clock.now() - this.#sentAt
    const due = quietMs >= everyMs
    this.#timer = clock.after(due ? everyMs : everyMs - quietMs, () => this.#watch())
    if (due) beat() // last, for it may end all this
  }
}

/**
 * How long a streamed response may be silent, in milliseconds; `Infinity`: for ever.
 *
 * @throws when the router's own settings contradict each other.
 */
export function pingInterval(config: SseConfig, extensions: Extensions): number {
  const { reconnectAfterInactivityMs } = config.client ?? {}
  if (config.ping === undefined && extensions.heartbeats) {
    return Math.min(30_000, (reconnectAfterInactivityMs ?? Infinity) / 2)
  }
  const { enabled = false, intervalMs = 1_000 } = config.ping ?? {}
  if (!enabled || intervalMs <= 0) return Infinity
  if (reconnectAfterInactivityMs && intervalMs > reconnectAfterInactivityMs) {
    throw new Error(
      `Ping interval must be less than client reconnect interval to prevent unnecessary reconnection - ping.intervalMs: ${intervalMs} client.reconnectAfterInactivityMs: ${reconnectAfterInactivityMs}`,
    )
  }
  return intervalMs
}
