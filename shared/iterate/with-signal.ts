import '../scope.ts'

/** How an aborted `withSignal` ends: quietly, like a source that is done, or with the signal's reason. */
export interface WithSignalOptions {
  /** `return` (default) ends the iteration; `throw` rejects with `signal.reason`. */
  readonly onAbort?: 'return' | 'throw'
}

/**
 * Passes a source through until the signal is aborted, and then ends at once, even while the source is waiting for
 * something that never settles. So the `finally` of the generator that consumes it runs. Calling `return()` on such
 * a generator would not do it: the request waits in line behind the promise that never settles.
 *
 * The source's own `return()` is called and not awaited (it may be stuck behind the same promise); a failure of it is
 * dropped with the source.
 *
 * @example
 * ```ts
 * .subscription(async function* ({ signal }) {
 *   for await (const row of withSignal(database.watch(), signal)) yield row
 * })
 * ```
 */
export function withSignal<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal | undefined,
  options: WithSignalOptions = {},
): AsyncIterableIterator<T, undefined, undefined> & AsyncDisposable {
  const iterator = source[Symbol.asyncIterator]()
  let ended = false
  // The one consumer that waits, if any. The abort is subscribed to once per stream: a Promise.race against a
  // long-lived promise keeps memory for each round (312 bytes an event on Node 20).
  let waiting: {
    resolve(result: IteratorResult<T, undefined>): void
    reject(reason: unknown): void
  } | null = null

  const finish = () => {
    ended = true
    signal?.removeEventListener('abort', onAbort)
  }
  const letGo = async () => {
    try {
      await iterator.return?.()
    } catch {
      // It has been told to stop, and nobody is left to hear how that went.
    }
  }
  const onAbort = () => {
    finish()
    void letGo() // not awaited, see above
    if (options.onAbort === 'throw') waiting?.reject(signal?.reason)
    else waiting?.resolve({ done: true, value: undefined })
    waiting = null
  }

  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort)

  return {
    next() {
      if (ended) {
        return signal?.aborted && options.onAbort === 'throw'
          ? Promise.reject(signal.reason)
          : Promise.resolve({ done: true, value: undefined })
      }
      return new Promise((resolve, reject) => {
        const mine = { resolve, reject }
        waiting = mine
        iterator.next().then(
          result => {
            if (waiting === mine) waiting = null
            if (!result.done) return resolve(result)
            finish()
            resolve({ done: true, value: undefined })
          },
          reason => {
            if (waiting === mine) waiting = null
            finish()
            reject(reason)
          },
        )
      })
    },
    async return() {
      if (!ended) {
        finish()
        waiting?.resolve({ done: true, value: undefined })
        waiting = null
        await iterator.return?.()
      }
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
    async [Symbol.asyncDispose]() {
      await this.return?.()
    },
  }
}
