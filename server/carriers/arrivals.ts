/**
 * A request has to arrive as a whole within `limits.requestMs`, whichever host it came through: else a body of which a
 * byte comes now and then, or none, would hold a place for ever. (Node has such a timer for `node:http` alone, and says
 * nothing that a client would understand.) One timer for all of them, and nothing for a request without a body.
 */
import type { Clock } from '../../shared/clock.ts'
import { SluiceError } from '../../shared/errors.ts'
import { withSignal } from '../../shared/iterate/with-signal.ts'
import { toTRPCError } from '../procedures/present-error.ts'
import { Rota, Waiting } from '../rota.ts'

/** A request that is not all here. */
class Arrival extends Waiting {
  constructor(readonly late: () => void) {
    super()
  }
}

export class Arrivals {
  readonly #requestMs: number
  readonly #onRefused: () => void
  readonly #rota: Rota<Arrival>

  constructor(requestMs: number, clock: Clock, onRefused: () => void) {
    this.#requestMs = requestMs
    this.#onRefused = onRefused
    this.#rota = new Rota(requestMs, clock, arrival => arrival.late())
  }

  /** Waits for the rest of a request until it is unlinked, or late. */
  expect(late: () => void): Waiting {
    const arrival = new Arrival(late)
    this.#rota.add(arrival)
    return arrival
  }

  /** Counts one that is refused for being late, and says so. */
  refuse(): SluiceError {
    this.#onRefused()
    return this.#late()
  }

  /**
   * A body that fails with `TIMEOUT`, by `SILENT_PEER`, for who waits for more of it when its time is up, or asks for
   * more later. Its time begins with the first reading: what nobody reads holds nobody.
   */
  inTime<T>(body: AsyncIterable<T>): AsyncIterableIterator<T, undefined, undefined> {
    const late = new AbortController()
    const source = withSignal(body, late.signal, { onAbort: 'throw' })
    let arrival: Waiting | null = null
    let refused = false
    // No generator: one that is given up before it was read would not tell the source.
    return {
      next: async () => {
        arrival ??= this.expect(() => late.abort(toTRPCError(this.#late())))
        try {
          const result = await source.next()
          if (result.done) arrival.unlink()
          return result
        } catch (thrown) {
          arrival.unlink()
          if (!refused && late.signal.aborted && thrown === late.signal.reason) {
            refused = true
            this.#onRefused()
          }
          throw thrown
        }
      },
      async return() {
        arrival?.unlink()
        await source[Symbol.asyncDispose]()
        return { done: true, value: undefined }
      },
      [Symbol.asyncIterator]() {
        return this
      },
    }
  }

  #late(): SluiceError {
    return new SluiceError(
      'SILENT_PEER',
      `The request did not arrive as a whole within ${this.#requestMs} ms.`,
    )
  }
}
