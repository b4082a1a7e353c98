/**
 * The one message protocol: tRPC's JSON-RPC-like messages, with our extensions beside them. The types are tRPC's
 * own wherever it has one, so that a change there shows here. Wire: docs/wire.md, sections 1 to 4.
 */
import type { TRPCErrorShape, TRPCReconnectNotification } from '@trpc/server/rpc'

export type { TRPCErrorShape }

/** What a peer chose to tell its requests apart. */
export type RequestId = number | string

export type OperationKind = 'query' | 'mutation' | 'subscription'

/** Sent by the client. */
export type ClientMessage =
  | {
      readonly id: RequestId
      readonly jsonrpc?: '2.0'
      readonly method: OperationKind
      readonly params: { readonly path: string; readonly input: unknown; readonly lastEventId?: string }
    }
  | { readonly id: RequestId; readonly jsonrpc?: '2.0'; readonly method: 'subscription.stop' }

/** The first message of a WebSocket that was opened with `?connectionParams=1`. */
export interface ConnectionParamsMessage {
  readonly method: 'connectionParams'
  readonly data: Readonly<Record<string, string>> | null
}

/** What a server answers to one request. `position` is an extension (negotiate.ts). */
export type ServerResult =
  | { readonly type: 'started'; readonly position?: string }
  | { readonly type: 'data'; readonly data: unknown; readonly id?: string }
  | { readonly type: 'stopped' }

/** Sent by the server. */
export type ServerMessage =
  | { readonly id: RequestId | null; readonly jsonrpc?: '2.0'; readonly result: ServerResult }
  | { readonly id: RequestId | null; readonly jsonrpc?: '2.0'; readonly error: TRPCErrorShape }
  | TRPCReconnectNotification

/** Heartbeats of tRPC's WebSocket protocol are bare text frames. */
export const ping = 'PING'
export const pong = 'PONG'

/** What `presentError` adds to `error.data` when a `SluiceError` is behind it. */
export interface SluiceErrorData {
  readonly code: string
  readonly data: Readonly<Record<string, unknown>>
}
