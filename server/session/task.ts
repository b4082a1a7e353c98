/** A request among a connection's messages → what is to be done. */
import { TRPCError } from '@trpc/server'
import type { TRPCRequestMessage } from '@trpc/server/rpc'
import { SluiceError } from '../../shared/errors.ts'
import type { Extensions } from '../../shared/protocol/negotiate.ts'
import { countRefusal, type Counters } from '../observe/counters.ts'
import { callProcedure, withLastEventId } from '../procedures/call.ts'
import { callSubscription, type SubscriptionCallDeps } from '../procedures/call-subscription.ts'
import { withIdempotencyKey } from '../procedures/idempotency-key.ts'
import type { Origin } from '../procedures/present-error.ts'
import type { SubscriptionTask } from '../procedures/subscription.ts'

/** Whether an application's `createContext` made one of a peer. It may be made anew later, hence is not in here. */
export type Context = { readonly ok: true } | { readonly ok: false; readonly error: unknown }

/** Who asks. */
export interface Caller {
  readonly req: unknown
  readonly deps: SubscriptionCallDeps
  readonly extensions: Extensions
  /** The context of this moment, as far as there is one. */
  readonly ctx: unknown
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

/** What only its call needs of a request. */
interface CallDetails extends Circumstances {
  readonly lastEventId: string | undefined
  readonly context: Context | Promise<Context>
}

/** The same words for all requests: each message has brought its own, which would be kept with it (32 B; Node 20). */
const kinds = { query: 'query', mutation: 'mutation', subscription: 'subscription' } as const

/** A request as it is kept while its subscription runs: without the message that it came in. */
export class Task implements SubscriptionTask {
  readonly path: string
  readonly #type: TRPCRequestMessage['method']
  readonly #input: unknown
  readonly #lag: boolean
  readonly #caller: Caller
  /** What only the call needs; null after it. */
  #call: CallDetails | null

  /** @param context the caller's; its error is the answer to every request. */
  constructor(
    { method, params }: TRPCRequestMessage,
    circumstances: Circumstances,
    context: Context | Promise<Context>,
    caller: Caller,
  ) {
    const { path, input, lastEventId } = params
    this.path = path
    this.#type = kinds[method]
    this.#input = withLastEventId(input, lastEventId)
    this.#lag = circumstances.lag
    this.#caller = caller
    const { batchIndex, again, lag, idempotencyKey } = circumstances
    this.#call = { batchIndex, again, lag, idempotencyKey, lastEventId, context }
  }

  get abortErrorEnds(): boolean {
    return false
  }

  get tellPosition(): boolean {
    return this.#caller.extensions.position
  }

  get tellLag(): boolean {
    return this.#caller.extensions.lag && this.#lag
  }

  origin(): Origin {
    const { req, ctx } = this.#caller
    return { req, type: this.#type, path: this.path, input: this.#input, ctx }
  }

  invoke(signal: AbortSignal): Promise<unknown> {
    if (!this.#call) return Promise.reject(new SluiceError('INTERNAL', 'A task was to be done twice.'))
    const call = this.#call
    this.#call = null
    const { context } = call
    return context instanceof Promise
      ? context.then(made => this.#invoke(call, made, signal))
      : this.#invoke(call, context, signal)
  }

  #invoke(details: CallDetails, made: Context, signal: AbortSignal): Promise<unknown> {
    if (!made.ok) return Promise.reject(made.error)
    const { batchIndex, idempotencyKey } = details
    const { deps, ctx } = this.#caller
    const getRawInput = () => Promise.resolve(this.#input)
    const call = { path: this.path, type: this.#type, ctx, signal, batchIndex, getRawInput }
    if (this.#type !== 'subscription') {
      return withIdempotencyKey(idempotencyKey, [this.path], () => callProcedure(deps.desk.router, call))
    }
    return callSubscription(deps, call, details)
  }
}

/** What tRPC says of a batch that is longer than its own option allows. */
export const tooLongForStock = 'Batch call exceeds maximum size'

/**
 * @param message for who is to be told in other words.
 * @throws TRPCError `BAD_REQUEST`, by `BATCH_TOO_LONG`.
 */
export function checkBatchLength(
  length: number,
  limit: number,
  counters: Counters,
  message = `A batch of ${length} messages is longer than ${limit}, which is the limit.`,
): void {
  if (length <= limit) return
  countRefusal(counters, 'BATCH_TOO_LONG')
  const cause = new SluiceError('BATCH_TOO_LONG', message, { data: { limit } })
  throw new TRPCError({ code: 'BAD_REQUEST', message, cause })
}
