/** What an application's `createContext` is given by each host: tRPC's words. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { TRPCRequestInfo } from '@trpc/server/http'
import type { WebSocket } from 'ws'

export type NodeRequest = IncomingMessage | Http2ServerRequest
export type NodeResponse = ServerResponse | Http2ServerResponse

/** For a request of Node's. Over WebSocket the context is made once per connection, from its upgrade request. */
export interface NodeContextOptions {
  readonly req: NodeRequest
  readonly res: NodeResponse | WebSocket
  readonly info: TRPCRequestInfo
}

/** For a request through `sluice.fetch`. */
export interface FetchContextOptions {
  readonly req: Request
  /** Headers to add to the response. */
  readonly resHeaders: Headers
  readonly info: TRPCRequestInfo
}

export type CreateContext = (options: NodeContextOptions | FetchContextOptions) => unknown

/** Makes a context of what is given, which is put together only where somebody wants it. */
export type MakeContext = (given: () => NodeContextOptions | FetchContextOptions) => unknown

/** @param create undefined where the application makes none: then they are empty, as its type says. */
export function contextMaker(create: CreateContext | undefined): MakeContext {
  return create ? given => create(given()) : () => ({})
}
