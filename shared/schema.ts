/** Pieces of zod schemas for procedures that stream. */
import { z } from 'zod'

/** What a subscription says of being invoked again by a client that has lost its connection. */
export type RetryContract = 'resumable' | 'once'

/** By the schema itself: what zod derives from one (`.extend()`, `.refine()`) has to be wrapped last. */
const contracts = new WeakMap<object, RetryContract>()

/** Longer than any cursor of ours, and than what fits comfortably in a URL. */
const maxCursorLength = 1024

/**
 * The input of a subscription that can be resumed: adds `lastEventId`, which tRPC fills in when a client comes back.
 *
 * @example
 * ```ts
 * onRoom: procedure.input(resumable({ room: z.string() }))
 *   .subscription(({ input, signal }) => room.subscribe(input.room, { after: input.lastEventId, signal }))
 * ```
 */
export function resumable<Shape extends z.ZodRawShape = Record<never, never>>(shape?: Shape) {
  const schema = z.object({ ...(shape as Shape), lastEventId: z.string().max(maxCursorLength).optional() })
  contracts.set(schema, 'resumable')
  return schema
}

/**
 * The input of a subscription that must not run twice, for what it does besides telling: a client of ours that comes
 * back after its connection was lost gets the error `LOST`, and no second execution. So does every other client that
 * returns with the id of an event. What should go on instead, whoever looks, is a run (`createRun`).
 *
 * @example
 * ```ts
 * onCheckout: procedure.input(once({ cart: z.string() })).subscription(async function* ({ input }) { … })
 * ```
 */
export function once<Shape extends z.ZodRawShape = Record<never, never>>(shape?: Shape) {
  const schema = z.object({ ...(shape as Shape) })
  contracts.set(schema, 'once')
  return schema
}

/** The contract of a procedure, by the schemas of its input; null where it says nothing. */
export function contractOf(schemas: readonly unknown[]): RetryContract | null {
  for (const schema of schemas) {
    const contract = typeof schema === 'object' && schema !== null ? contracts.get(schema) : undefined
    if (contract) return contract
  }
  return null
}
