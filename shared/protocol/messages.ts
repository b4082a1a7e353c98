/**
 * The one message protocol: tRPC's JSON-RPC-like messages, with our extensions beside them. Where tRPC
 * exports a type of its own, that one is used where it is needed. Wire: docs/wire.md, sections 1 to 4.
 */
import type { Retry } from '../errors.ts'
import type { Lag } from '../items.ts'
import type { Credit } from './credit.ts'

/** What a peer chose to tell its requests apart. */
export type RequestId = number | string

export type OperationKind = 'query' | 'mutation' | 'subscription'

/** Sent by the client. */
export type ClientMessage =
  | {
      readonly id: RequestId
      readonly jsonrpc?: '2.0'
      readonly method: OperationKind
      readonly params: {
        readonly path: string
        readonly input: unknown
        readonly lastEventId?: string
        readonly again?: true
        /** An extension, which stock servers pass over. */
        readonly credit?: Credit
        /** An extension: the client wants to know how far behind it is. */
        readonly lag?: true
      }
    }
  | { readonly id: RequestId; readonly jsonrpc?: '2.0'; readonly method: 'subscription.stop' }
  /** So many events of a subscription have been taken (credit.ts). */
  | {
      readonly id: RequestId
      readonly method: 'subscription.credit'
      readonly params: { readonly events: number }
    }

/** What a server answers to one request. `position`, `credit` and `lag` are extensions (negotiate.ts). */
export type ServerResult =
  | { readonly type: 'started'; readonly position?: string; readonly credit?: true }
  | { readonly type: 'data'; readonly data: unknown; readonly id?: string }
  | { readonly type: 'stopped' }
  | ({ readonly type: 'lag' } & Lag)

/** Heartbeats of tRPC's WebSocket protocol are bare text frames. */
export const ping = 'PING'
export const pong = 'PONG'

/** What the server adds to `error.data` when a `SluiceError` is behind it. */
export interface SluiceErrorData {
  readonly code: string
  /** How to come back, for clients that do not know the code; left out where that does not help. */
  readonly retry?: Exclude<Retry, 'never'>
  readonly data: Readonly<Record<string, unknown>>
}
