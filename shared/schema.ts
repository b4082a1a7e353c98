/** Pieces of zod schemas for procedures that stream. */
import { z } from 'zod'

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
  return z.object({ ...(shape as Shape), lastEventId: z.string().max(maxCursorLength).optional() })
}
