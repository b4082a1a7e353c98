/** A request among a connection's messages → what is to be done. */
import { TRPCError } from '@trpc/server'
import type { AnyTRPCRouter } from '@trpc/server'
import type { TRPCRequestMessage } from '@trpc/server/rpc'
import { SluiceError } from '../../shared/errors.ts'
import { countRefusal, type Counters } from '../observe/counters.ts'
import { callProcedure, withLastEventId } from '../procedures/call.ts'
import type { SubscriptionTask } from '../procedures/subscription.ts'

/** What an application's `createContext` made of a peer, or why it did not. */
export type Context =
  | { readonly ok: true; readonly ctx: unknown }
  | { readonly ok: false; readonly error: unknown }

/** Who asks. */
export interface Caller {
  readonly req: unknown
  readonly router: AnyTRPCRouter
  readonly tellPosition: boolean
  /** The context as far as it is known by now: for `onError` and the error formatter. */
  ctx(): unknown
}

/** @param context the caller's; its error is the answer to every request. */
export function toTask(
  { method: type, params }: TRPCRequestMessage,
  batchIndex: number,
  context: Promise<Context>,
  { req, router, tellPosition, ctx }: Caller,
): SubscriptionTask {
  const { path } = params
  const input = withLastEventId(params.input, params.lastEventId)
  return {
    path,
    tellPosition,
    abortErrorEnds: false,
    origin: () => ({ req, type, path, input, ctx: ctx() }),
    invoke: async signal => {
      const made = await context
      if (!made.ok) throw made.error
      return callProcedure(router, {
        path,
        type,
        ctx: made.ctx,
        signal,
        batchIndex,
        input: async () => input,
      })
    },
  }
}

/** @throws TRPCError `BAD_REQUEST`, by `BATCH_TOO_LONG`. */
export function checkBatchLength(length: number, limit: number, counters: Counters): void {
  if (length <= limit) return
  countRefusal(counters, 'BATCH_TOO_LONG')
  const message = `A batch of ${length} messages is longer than ${limit}, which is the limit.`
  const cause = new SluiceError('BATCH_TOO_LONG', message, { data: { limit } })
  throw new TRPCError({ code: 'BAD_REQUEST', message, cause })
}
