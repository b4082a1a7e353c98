/** The fork in the road of HTTP: a subscription is answered here, everything else by tRPC's own adapters. */
import type {
  NodeHTTPHandlerOptions,
  NodeHTTPRequest,
  NodeHTTPResponse,
} from '@trpc/server/adapters/node-http'
import type { AnyTRPCRouter, TRPCError } from '@trpc/server'
import { errorTable, SluiceError } from '../../shared/errors.ts'
import { countRefusal } from '../observe/counters.ts'
import { idempotencyKeyHeader, withIdempotencyKey } from '../procedures/idempotency-key.ts'
import { isAbortError, toTRPCError, type Origin } from '../procedures/present-error.ts'
import type { Admission } from '../session/admission.ts'
import type { Connection } from '../session/connections.ts'
import { checkBatchLength, tooLongForStock } from '../session/task.ts'
import type { AddressOf } from './address.ts'
import type { Arrivals } from './arrivals.ts'
import type { CreateContext, NodeRequest } from './context.ts'
import { refuse, type ResponseHost } from './host.ts'
import type { Gzip } from './gzip.ts'
import type { Malformed } from './malformed.ts'
import { batchLengthOf, findSubscription, isMalformed, pathsOf, type RequestHead } from './request.ts'
import { SseConnection, turnAway, type SseDeps } from './sse.ts'
import { asksForStream, StreamConnection, type StreamDeps } from './stream.ts'

/** The options of tRPC's HTTP adapters that are handed through to them. */
export type AdapterOptions = Pick<
  NodeHTTPHandlerOptions<AnyTRPCRouter, NodeHTTPRequest, NodeHTTPResponse>,
  'allowBatching' | 'allowMethodOverride' | 'batching' | 'maxBatchSize' | 'middleware' | 'responseMeta'
>

export interface HttpDeps extends SseDeps, StreamDeps {
  readonly adapter: AdapterOptions
  /** Ends in a slash. */
  readonly basePath: string
  readonly maxBodyBytes: number
  readonly maxStreamBytes: number
  /** Of bodies. */
  readonly arrivals: Arrivals
  /** Compresses streamed responses; null where that is off. Of `sluice.node` only. */
  readonly gzip: Gzip | null
  /** The longest batch, by tRPC's option of that name. */
  readonly maxBatchSize: number | undefined
  readonly malformed: Malformed
  /** The router as tRPC's adapters are to have it. */
  readonly routerForAdapters: AnyTRPCRouter
  isDraining(): boolean
  readonly admission: Admission
  readonly addressOf: AddressOf
  readonly createContext: CreateContext
}

/** The two ways a request can take. */
export interface Ways {
  delegate(): Promise<void>
  /** Makes the host of a subscription; never settles if its middleware has answered the request. */
  host(): Promise<ResponseHost>
}

/** What tRPC's adapters tell of errors. Of one who is not listened to any more, an abort is none. */
export function errorListener(
  { desk, malformed }: HttpDeps,
  req: NodeRequest | Request,
  isGone: () => boolean,
) {
  return ({ error, ...origin }: Omit<Origin, 'req'> & { readonly error: TRPCError }): void => {
    malformed.look(error)
    if (!isGone() || !isAbortError(error)) desk.report(error, { ...origin, req })
  }
}

export async function answer(head: RequestHead | null, ways: Ways, deps: HttpDeps): Promise<void> {
  if (!head) return ways.delegate()
  if (asksForStream(head)) {
    const host = await ways.host()
    const draining = new SluiceError('DRAINING', 'This server is going away. Connect again.')
    admit(host, deps, {
      turnAway: () => refuse(host, draining, deps),
      open: () => new StreamConnection(head, host, deps),
    })
    return
  }
  const request = await findSubscription(deps.desk.router, head)
  if (!request) return answerCalls(head, ways, deps)
  const host = await ways.host()
  admit(host, deps, {
    path: request.path,
    turnAway: () => turnAway(request, host, deps),
    open: () => new SseConnection(request, host, deps),
  })
}

/** By tRPC's adapters. */
async function answerCalls(head: RequestHead, ways: Ways, deps: HttpDeps): Promise<void> {
  const error = tooLong(head, deps)
  if (error) return refuse(await ways.host(), error, deps, { type: 'unknown' })
  if (isMalformed(head)) countRefusal(deps.counters, 'MESSAGE_INVALID')
  await withKeyOf(head, ways.delegate, deps)
}

/** Why there are too many calls in a request for tRPC's adapters; null if there are not. */
function tooLong(head: RequestHead, { counters, limits, maxBatchSize }: HttpDeps): TRPCError | null {
  try {
    const length = batchLengthOf(head)
    if (maxBatchSize === undefined) checkBatchLength(length, limits.maxBatchLength, counters)
    else checkBatchLength(length, maxBatchSize, counters, tooLongForStock)
    return null
  } catch (thrown) {
    return toTRPCError(thrown)
  }
}

/** Its header is the key of all that it asks for. */
function withKeyOf(head: RequestHead, delegate: () => Promise<void>, { desk }: HttpDeps): Promise<void> {
  const key = head.header(idempotencyKeyHeader)
  return key ? withIdempotencyKey(key, pathsOf(desk.router, head), delegate) : delegate()
}

interface Applicant {
  readonly path?: string
  /** Says that the server goes away. */
  turnAway(): void
  open(): Connection
}

/** Opens a connection if there is room. */
function admit(host: ResponseHost, deps: HttpDeps, { path, turnAway, open }: Applicant): void {
  if (deps.isDraining()) {
    countRefusal(deps.counters, 'DRAINING')
    return turnAway()
  }
  const address = deps.addressOf(host.req)
  const crowded = deps.admission.refusal(address)
  if (crowded) {
    countRefusal(deps.counters, crowded)
    return refuse(host, new SluiceError(crowded, `No room: ${errorTable[crowded].help}`), deps, { path })
  }
  deps.connections.add(open(), address)
}
