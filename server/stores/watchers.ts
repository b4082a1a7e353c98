/**
 * Who watches which log, within one process. A watcher is called in a microtask of its own, so that neither the
 * writer nor another watcher runs inside its code, and several changes before that microtask are one call.
 */
export class Watchers {
  readonly #byLog = new Map<string, Set<Watcher>>()

  /** True while anybody watches anything. */
  get any(): boolean {
    return this.#byLog.size > 0
  }

  /** @returns stops watching: `onChange` is not called again, not even for a change that has already happened. */
  add(log: string, onChange: () => void): () => void {
    const watcher: Watcher = { onChange, watching: true, called: false }
    const watchers = this.#byLog.get(log) ?? new Set()
    this.#byLog.set(log, watchers.add(watcher))
    return () => {
      watcher.watching = false
      watchers.delete(watcher)
      if (watchers.size === 0 && this.#byLog.get(log) === watchers) this.#byLog.delete(log)
    }
  }

  notify(log: string): void {
    for (const watcher of this.#byLog.get(log) ?? []) call(watcher)
  }

  notifyAll(): void {
    for (const log of this.#byLog.keys()) this.notify(log)
  }

  /** Stops all watching. */
  clear(): void {
    for (const watchers of this.#byLog.values()) {
      for (const watcher of watchers) watcher.watching = false
    }
    this.#byLog.clear()
  }
}

interface Watcher {
  readonly onChange: () => void
  watching: boolean
  /** A call is on its way; further changes until then are part of it. */
  called: boolean
}

function call(watcher: Watcher): void {
  if (watcher.called) return
  watcher.called = true
  queueMicrotask(() => {
    watcher.called = false
    if (watcher.watching) watcher.onChange()
  })
}
