/**
 * Counts what tRPC's own adapters refuse because it cannot be read. They tell of it as they do of a procedure's errors, so
 * it is seen where it can be told apart: at the transformer, and by what JSON.parse throws. It is once in each case that
 * it is counted, also where many calls of a batch fail by it.
 */
import { TRPCError } from '@trpc/server'
import type { AnyTRPCRouter } from '@trpc/server'
import { countRefusal, type Counters } from '../observe/counters.ts'
import { withConfig } from '../procedures/router-view.ts'

export class Malformed {
  readonly #counters: Counters
  readonly #seen = new WeakSet<Error>()

  constructor(counters: Counters) {
    this.#counters = counters
  }

  /** A view of a router for the adapters, whose transformer tells of what it does not take. */
  over(router: AnyTRPCRouter): AnyTRPCRouter {
    const { input, output } = router._def._config.transformer
    const deserialize = (value: unknown): unknown => {
      try {
        return input.deserialize(value)
      } catch (thrown) {
        // A TRPCError is our own, for an input that is nested too deep, and counted as that.
        if (!(thrown instanceof TRPCError)) this.#count(thrown)
        throw thrown
      }
    }
    const serialize = (value: unknown): unknown => input.serialize(value)
    return withConfig(router, { transformer: { input: { serialize, deserialize }, output } })
  }

  /** Told of every error of the adapters. */
  look({ code, cause }: TRPCError): void {
    if (code === 'BAD_REQUEST' && cause instanceof SyntaxError) this.#count(cause)
  }

  #count(thrown: unknown): void {
    if (thrown instanceof Error) {
      if (this.#seen.has(thrown)) return
      this.#seen.add(thrown)
    }
    countRefusal(this.#counters, 'MESSAGE_INVALID')
  }
}
