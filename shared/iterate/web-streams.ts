/**
 * Async iterables and web streams, both ways, with backpressure intact: a stream asks its source for one value when
 * its reader has room, and an iterable reads one chunk when its consumer asks.
 */
import '../scope.ts'

/**
 * An async iterable as a `ReadableStream`. Cancelling the stream calls the source's `return()`; an error of the
 * source errors the stream.
 *
 * @param options.highWaterMark values read ahead of the reader; default 0: nothing is asked for before it is wanted.
 */
export function toReadableStream<T>(
  source: AsyncIterable<T>,
  options: { readonly highWaterMark?: number } = {},
): ReadableStream<T> {
  const iterator = source[Symbol.asyncIterator]()
  return new ReadableStream<T>(
    {
      async pull(controller) {
        const result = await iterator.next()
        if (result.done) controller.close()
        else controller.enqueue(result.value)
      },
      async cancel() {
        await iterator.return?.()
      },
    },
    { highWaterMark: options.highWaterMark ?? 0 },
  )
}

/**
 * A `ReadableStream` as an async iterable. Leaving the loop early cancels the stream; a finished one is released.
 * (Browsers do not all have `ReadableStream.prototype[Symbol.asyncIterator]`.)
 *
 * `return()` cancels at once, also while the stream has nothing to give, so that `withSignal` around it ends the
 * stream too: a generator would first wait for its next chunk, and so does the stream's own iterator.
 *
 * @throws TypeError when the stream has a reader already.
 * @example
 * ```ts
 * .subscription(async function* ({ signal }) {
 *   const response = await fetch(url, { signal })
 *   yield* withSignal(fromReadableStream(response.body), signal)
 * })
 * ```
 */
export function fromReadableStream<T>(
  stream: ReadableStream<T>,
): AsyncIterableIterator<T, undefined, undefined> & AsyncDisposable {
  const reader = stream.getReader()
  let ended = false
  const done = () => {
    ended = true
    reader.releaseLock()
    return { done: true, value: undefined } as const
  }
  const cancel = async () => {
    if (ended) return done()
    ended = true
    await reader.cancel()
    return done()
  }
  return {
    async next() {
      if (ended) return done()
      try {
        const result = await reader.read()
        return result.done ? done() : result
      } catch (error) {
        done()
        throw error
      }
    },
    return: cancel,
    [Symbol.asyncIterator]() {
      return this
    },
    async [Symbol.asyncDispose]() {
      await cancel()
    },
  }
}
