/**
 * How long the event loop lets those wait whose turn it is. It is measured by a timer every 10 ms, and so from the first
 * look on: it costs nothing where nobody looks.
 */
import perfHooks from 'node:perf_hooks'

/** In milliseconds. Node's figures contain the timer's own 10, those of Bun and Deno do not. */
export interface EventLoopStats {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export class EventLoopDelay implements Disposable {
  /** Null before the first look, after the end, and in a runtime that has none. */
  #histogram: ReturnType<typeof perfHooks.monitorEventLoopDelay> | null = null
  #ended = false

  /** Since the last look; null at the first, and where nothing has been measured since. */
  take(): EventLoopStats | null {
    if (!this.#histogram) {
      this.#begin()
      return null
    }
    const { count, max } = this.#histogram
    if (count === 0) return null
    const stats = {
      p50Ms: toMs(this.#histogram.percentile(50)),
      p99Ms: toMs(this.#histogram.percentile(99)),
      maxMs: toMs(max),
    }
    this.#histogram.reset()
    return stats
  }

  [Symbol.dispose](): void {
    this.#ended = true
    this.#histogram?.disable()
    this.#histogram = null
  }

  #begin(): void {
    if (this.#ended || !measures) return
    this.#histogram = perfHooks.monitorEventLoopDelay()
    this.#histogram.enable()
  }
}

const toMs = (nanoseconds: number) => nanoseconds / 1e6

/** Not everything that runs `sluice.fetch` has it. */
const measures = typeof (perfHooks as Partial<typeof perfHooks>).monitorEventLoopDelay === 'function'
