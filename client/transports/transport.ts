/**
 * What the connection needs of a transport. One transport is one attempt: it opens once, and once it is lost nothing
 * more comes from it. What is handed to it before it is open is sent when it opens.
 */
import type { TRPCClientError } from '@trpc/client'
import type { AnyRouter } from '@trpc/server'
import { isSluiceError, SluiceError, toError } from '../../shared/errors.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { Hint, TransportKind, Via } from '../connection/machine.ts'
import type { Flow } from '../subscriptions/inbox.ts'

export type ClientError = TRPCClientError<AnyRouter>

export interface Transport {
  readonly kind: Via
  /** Asks the server for a subscription. */
  subscribe(asked: AskedSubscription): void
  /** Takes that back, whether it was sent or not; an id that is unknown is let pass. */
  unsubscribe(id: RequestId): void
  /**
   * Sends a query or a mutation. Null where they go their own way, over HTTP.
   *
   * @throws whatever serialising the input throws; nothing was sent then.
   */
  readonly request: ((asked: AskedRequest) => void) | null
  /**
   * Tells the server that a consumer has taken so many events. Left out where there is no way to tell: then the
   * server was not asked to count either.
   */
  grant?(id: RequestId, events: number): void
  /** Reports the transport as lost, to be replaced at once, when the peer does not answer within `withinMs`. */
  probe(hint: Hint, withinMs: number): void
  /** Ends it at once; nothing is reported after that. */
  close(): void
}

export interface AskedRequest {
  readonly id: RequestId
  readonly kind: 'query' | 'mutation'
  readonly path: string
  readonly input: AskedInput
  wish(): { readonly idempotencyKey?: string }
  /** Its one answer can always be taken. */
  readonly flow?: undefined
}

/** The input as the application passed it (`own`), which is how a codec carries it; or else through the transformer. */
export type AskedInput = (own: boolean) => unknown

/** What the server has to know of a subscription beside its input, as in the params of the message; if it applies. */
export interface Wish {
  /** The last event that was received, or where to begin. Without it, it could not be resumed. */
  readonly lastEventId?: string
  /** The server may have begun it before: it may be one that must not run twice. */
  readonly again?: true
  /** Somebody wants to know how far behind it is. */
  readonly lag?: true
}

export interface AskedSubscription {
  readonly id: RequestId
  readonly kind: 'subscription'
  readonly path: string
  readonly input: AskedInput
  /** The consumer's room, where it says so: a transport that can stop reading then does. */
  readonly flow: Flow | undefined
  /** As things stand by now. */
  wish(): Wish
  /** It is about to be asked for once more under this id, after its cursor: what comes again then is dropped. */
  askAgain(): void
}

/** What was received, in tRPC's client shapes: through the transformer, errors as `TRPCClientError`. */
export type Received =
  | {
      readonly type: 'started'
      readonly id: RequestId
      readonly position: string | undefined
      /** The server sends no more than it was granted. */
      readonly credit?: true | undefined
    }
  | {
      readonly type: 'data'
      readonly id: RequestId
      readonly eventId: string | undefined
      readonly data: unknown
      /** What of the bytes received is its share: of text, its characters. */
      readonly size: number
    }
  /** As it came: who wanted to know reads it (lag.ts). */
  | { readonly type: 'lag'; readonly id: RequestId; readonly lag: unknown }
  | { readonly type: 'stopped'; readonly id: RequestId }
  | { readonly type: 'error'; readonly id: RequestId; readonly error: ClientError }
  /** An error that belongs to no request of ours. */
  | { readonly type: 'complaint'; readonly error: ClientError }
  /** The server wants this client to connect anew: now, or at a moment of its choice within so many milliseconds. */
  | { readonly type: 'reconnect'; readonly withinMs?: number | undefined }
  /** The server wants to hear anew who this client is. */
  | { readonly type: 'renew' }

/** What is said of one request. */
export type Answer = Extract<Received, { readonly id: RequestId }>

export type ReceivedEvent = Extract<Received, { readonly type: 'data' }>

/** Why a transport, or one subscription on it, broke. */
export interface Loss {
  readonly why: SluiceError
  /** Coming back does not help. */
  readonly final?: boolean
  /** How long the server asked to be left alone, in milliseconds. */
  readonly afterMs?: number | undefined
  /** The server ended it politely after it had brought something: no failure, and no reason to wait longer. */
  readonly served?: boolean
  /** Nothing at all has come in time: the server is not there, or somebody holds its answer back. */
  readonly unanswered?: boolean
  /** Somebody answered who does not know this transport, or forbids it: if there is another, it is to be used. */
  readonly unsupported?: boolean
  /** It was looked for on a hint, and found dead: nobody else was cut at this moment, so there is nothing to spread. */
  readonly atOnce?: boolean
}

/** To whom a transport reports. Never called again after `lost`, or after `close()`. */
export interface TransportReports {
  opened(): void
  /** The first thing was received. */
  heard(): void
  received(message: Received): void
  /** These subscriptions broke together while the transport goes on; they have to be asked for again. */
  interrupted(ids: readonly RequestId[], loss: Loss): void
  lost(loss: Loss): void
  /**
   * A better one works, and takes its place.
   *
   * @param takeOver told to whom the better one reports from now on.
   */
  replaced(by: Transport, why: SluiceError, takeOver: (reports: TransportReports) => void): void
}

export type TransportFactory = (kind: TransportKind, reports: TransportReports) => Transport

/** Whatever was thrown, as a loss. It is final where this environment lacks what the next attempt would need, too. */
export function toLoss(thrown: unknown, what: string): Loss {
  if (isSluiceError(thrown)) return { why: thrown, final: thrown.code === 'TRANSPORT_UNAVAILABLE' }
  const cause = toError(thrown)
  return { why: new SluiceError('CONNECTION_LOST', `${what}: ${cause.message}`, { cause }) }
}
