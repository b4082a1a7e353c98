/**
 * Async iterables and web streams, both ways, with backpressure intact: a stream asks its source for one value when
 * its reader has room, and an iterable reads one chunk when its consumer asks.
 */

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
 * A `ReadableStream` as an async generator. Leaving the loop early cancels the stream; a finished one is released.
 * (Browsers do not all have `ReadableStream.prototype[Symbol.asyncIterator]`.)
 */
export async function* fromReadableStream<T>(stream: ReadableStream<T>): AsyncGenerator<T, void, undefined> {
  const reader = stream.getReader()
  let finished = false
  try {
    for (;;) {
      const result = await reader.read()
      if (result.done) {
        finished = true
        return
      }
      yield result.value
    }
  } catch (error) {
    finished = true
    throw error
  } finally {
    if (!finished) await reader.cancel()
    reader.releaseLock()
  }
}
