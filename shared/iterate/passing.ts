import { closing } from './closing.ts'

const over = { done: true, value: undefined } as const

/**
 * A source whose every result passes through a function, its end included. Whoever leaves closes the source, also
 * before the first value and while one is waited for: a generator around it would not. The `return()` of one that has
 * not begun runs none of it, and the source may have begun long ago; that of one which waits stands in line. What the
 * function throws closes the source, too.
 */
export function passing<T, R, U, S>(
  source: AsyncIterable<T, R, undefined>,
  pass: (result: IteratorResult<T, R>) => IteratorResult<U, S> | Promise<IteratorResult<U, S>>,
): AsyncGenerator<U, S | undefined, undefined> {
  const values = closing(source)
  let ended = false
  const close = async () => {
    ended = true
    await values[Symbol.asyncDispose]()
  }
  return {
    async next() {
      if (ended) return over
      try {
        const result = await values.next()
        if (ended) return over // whoever has waited for it has left meanwhile
        if (result.done) ended = true
        return await pass(result)
      } catch (thrown) {
        if (!ended) await close()
        throw thrown
      }
    },
    async return(value) {
      await close()
      return { done: true, value: await value }
    },
    async throw(error) {
      await close()
      throw error
    },
    [Symbol.asyncIterator]() {
      return this
    },
    [Symbol.asyncDispose]: close,
  }
}
