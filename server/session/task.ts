/** A request among a connection's messages → what is to be done. */
import { TRPCError } from '@trpc/server'
import type { TRPCRequestMessage } from '@trpc/server/rpc'
import { SluiceError } from '../../shared/errors.ts'
import type { Extensions } from '../../shared/protocol/negotiate.ts'
import { countRefusal, type Counters } from '../observe/counters.ts'
import { callProcedure, withLastEventId } from '../procedures/call.ts'
import { callSubscription, type SubscriptionCallDeps } from '../procedures/call-subscription.ts'
import { withIdempotencyKey } from '../procedures/idempotency-key.ts'
import type { SubscriptionTask } from '../procedures/subscription.ts'

/** Whether an application's `createContext` made one of a peer. It may be made anew later, hence is not in here. */
export type Context = { readonly ok: true } | { readonly ok: false; readonly error: unknown }

/** Who asks. */
export interface Caller {
  readonly req: unknown
  readonly deps: SubscriptionCallDeps
  readonly extensions: Extensions
  /** The context of this moment, as far as there is one. */
  ctx(): unknown
}

/** What is known of a request beside itself. */
export interface Circumstances {
  readonly batchIndex: number
  /** The client has asked for this before, and lost its connection. */
  readonly again: boolean
  readonly idempotencyKey?: string | undefined
  /** It wants to know how far behind its subscription is. */
  readonly lag: boolean
}

/** @param context the caller's; its error is the answer to every request. */
export function toTask(
  { method: type, params }: TRPCRequestMessage,
  { again, batchIndex, lag, idempotencyKey }: Circumstances,
  context: Promise<Context>,
  { req, deps, extensions, ctx }: Caller,
): SubscriptionTask {
  const { path } = params
  const input = withLastEventId(params.input, params.lastEventId)
  return {
    path,
    tellPosition: extensions.position,
    tellLag: extensions.lag && lag,
    abortErrorEnds: false,
    origin: () => ({ req, type, path, input, ctx: ctx() }),
    invoke: async signal => {
      const made = await context
      if (!made.ok) throw made.error
      const call = { path, type, ctx: ctx(), signal, batchIndex, input: async () => input }
      if (type !== 'subscription') {
        return withIdempotencyKey(idempotencyKey, () => callProcedure(deps.desk.router, call))
      }
      return callSubscription(deps, call, { again, lastEventId: params.lastEventId })
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
