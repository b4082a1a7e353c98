/**
 * What one owner must close. A small stand-in for `AsyncDisposableStack`, which Node 20 does not have: it closes
 * in reverse order, goes on when one closing fails, and throws all failures together at the end.
 */

// Some browsers lack the two symbols that `using` compiles to; Node 20 has them.
const symbols = Symbol as { dispose?: symbol; asyncDispose?: symbol }
symbols.dispose ??= Symbol.for('Symbol.dispose')
symbols.asyncDispose ??= Symbol.for('Symbol.asyncDispose')

type Closer = () => void | PromiseLike<void>

export class Scope implements AsyncDisposable {
  readonly #closers: Closer[] = []
  /** Of all that was there, once it has begun, and of each that came later. */
  readonly #closings: Promise<void>[] = []

  /** True once closing has begun; what is added later is closed at once. */
  get closed(): boolean {
    return this.#closings.length > 0
  }

  /** Takes over a resource: it is disposed of when the scope closes. */
  use<T extends Disposable | AsyncDisposable>(resource: T): T {
    this.defer(() =>
      Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : resource[Symbol.dispose](),
    )
    return resource
  }

  /** Runs `closer` when the scope closes; at once if it already has, well or not. */
  defer(closer: Closer): void {
    const [closing] = this.#closings
    if (!closing) this.#closers.push(closer)
    // Without a `catch`: what failed before has been told to whoever closed, and if this fails, and nobody closes again,
    // it is an unhandled rejection, because there is nobody else to tell.
    else this.#closings.push(closing.then(closer, () => closer()))
  }

  /**
   * Closes everything, last in first out. May be called any number of times; settles when all has ended.
   *
   * @throws AggregateError with all failures, or the failure itself if there was one.
   */
  async close(): Promise<void> {
    if (!this.closed) this.#closings.push(this.#run())
    const closings = await Promise.allSettled(this.#closings)
    throwAll(closings.flatMap(closing => (closing.status === 'rejected' ? [closing.reason as unknown] : [])))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #run(): Promise<void> {
    const failures: unknown[] = []
    for (let closer = this.#closers.pop(); closer; closer = this.#closers.pop()) {
      try {
        await closer()
      } catch (failure) {
        failures.push(failure)
      }
    }
    throwAll(failures)
  }
}

function throwAll(failures: readonly unknown[]): void {
  if (failures.length === 1) throw failures[0]
  if (failures.length > 1) throw new AggregateError(failures, `${failures.length} resources failed to close`)
}
