import '../scope.ts'

/** An async iterable that a block owns: leaving the block ends it. */
export type Closing<T, R = unknown> = AsyncIterableIterator<T, R, undefined> & AsyncDisposable

/**
 * Ties an async iterable to a block, as Python's `aclosing` does: however the block is left, the source's
 * `return()` is called and awaited. `for await` alone does so only when the loop itself is left early, and not
 * when `next()` is called by hand.
 *
 * @example
 * ```ts
 * await using tokens = closing(llm.stream(prompt))
 * const first = await tokens.next()      // an exception from here on still closes the stream
 * for await (const token of tokens) yield token
 * ```
 */
export function closing<T, R = unknown>(source: AsyncIterable<T, R, undefined>): Closing<T, R> {
  const iterator = source[Symbol.asyncIterator]()
  let ended: Promise<IteratorResult<T, R>> | null = null
  const end = (value?: R | PromiseLike<R>): Promise<IteratorResult<T, R>> =>
    (ended ??= Promise.resolve(
      // A source without return() holds nothing, by its own word.
      iterator.return?.(value) ?? { done: true, value: value as R },
    ))
  return {
    next: () => iterator.next(),
    return: end,
    // Once it has ended, throw() would only reject: the error is the caller's own.
    throw: async error => {
      if (iterator.throw) return iterator.throw(error)
      await end()
      throw error
    },
    [Symbol.asyncIterator]() {
      return this
    },
    async [Symbol.asyncDispose]() {
      await end()
    },
  }
}
