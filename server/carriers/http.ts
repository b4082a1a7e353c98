/** The fork in the road of HTTP: a subscription is answered here, everything else by tRPC's own adapters. */
import type {
  NodeHTTPHandlerOptions,
  NodeHTTPRequest,
  NodeHTTPResponse,
} from '@trpc/server/adapters/node-http'
import type { AnyTRPCRouter } from '@trpc/server'
import { errorTable, SluiceError } from '../../shared/errors.ts'
import { countRefusal } from '../observe/counters.ts'
import type { Admission } from '../session/admission.ts'
import type { AddressOf } from './address.ts'
import type { CreateContext } from './context.ts'
import { findSubscription, type RequestHead } from './request.ts'
import { refuse, SseConnection, turnAway, type SseDeps, type SseHost } from './sse.ts'

/** The options of tRPC's HTTP adapters that are handed through to them. */
export type AdapterOptions = Pick<
  NodeHTTPHandlerOptions<AnyTRPCRouter, NodeHTTPRequest, NodeHTTPResponse>,
  'allowBatching' | 'allowMethodOverride' | 'batching' | 'maxBatchSize' | 'middleware' | 'responseMeta'
>

export interface HttpDeps extends SseDeps {
  readonly adapter: AdapterOptions
  /** Ends in a slash. */
  readonly basePath: string
  readonly maxBodyBytes: number
  isDraining(): boolean
  readonly admission: Admission
  readonly addressOf: AddressOf
  readonly createContext: CreateContext
}

/** The two ways a request can take. */
export interface Ways {
  delegate(): Promise<void>
  /** Makes the host of a subscription; never settles if its middleware has answered the request. */
  host(): Promise<SseHost>
}

export async function answer(head: RequestHead | null, ways: Ways, deps: HttpDeps): Promise<void> {
  const request = head && (await findSubscription(deps.desk.router, head))
  if (!request) return ways.delegate()
  const host = await ways.host()
  if (deps.isDraining()) {
    countRefusal(deps.counters, 'DRAINING')
    return turnAway(request, host, deps)
  }
  const address = deps.addressOf(host.req)
  const crowded = deps.admission.refusal(address)
  if (crowded) {
    countRefusal(deps.counters, crowded)
    return refuse(request, host, new SluiceError(crowded, `No room: ${errorTable[crowded].help}`), deps)
  }
  const connection = new SseConnection(request, host, deps)
  deps.connections.add(connection)
  deps.admission.hold(address, connection.ended)
}
