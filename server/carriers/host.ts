/**
 * What a carrier over HTTP needs of the host of its request (node.ts, fetch.ts), and the heads and refusals that all
 * of them send alike.
 */
import type { AnyTRPCRouter, TRPCError } from '@trpc/server'
import type { ResponseMeta, ResponseMetaFn, TRPCRequestInfo } from '@trpc/server/http'
import type { TRPCErrorShape } from '@trpc/server/rpc'
import { errorTable, isSluiceError, type SluiceError } from '../../shared/errors.ts'
import { sseHeaders } from '../../shared/protocol/sse.ts'
import { toTRPCError, unpresentable, type ErrorDesk, type Origin } from '../procedures/present-error.ts'
import type { SubscriptionDeps } from '../procedures/subscription.ts'
import type { Connections } from '../session/connections.ts'
import { Expiry, type ExpiryOptions } from '../session/expiry.ts'
import type { Pending } from '../session/stalls.ts'
import type { Wire } from '../session/wire.ts'
import type { NodeRequest } from './context.ts'
import { retryAfterSeconds } from './request.ts'

/** A response that streams. */
export interface ResponseWire extends Wire, Pending {
  /** No more comes. */
  end(): void
}

/** The host's half of one request and its response. */
export interface ResponseHost {
  /** What `onError` is told as the request. */
  readonly req: NodeRequest | Request
  /** Aborted when the peer is gone. */
  readonly gone: AbortSignal
  /** Has one listener told when the peer is gone; at once, if it is. */
  listen(listener: HostListener): void
  /** A refusal by the host's middleware, which the client is to be told. */
  readonly refusal: TRPCError | null
  createContext(info: TRPCRequestInfo): unknown
  /** The body of a POST. */
  readBody(): Promise<string>
  /** Sends the head of a response that streams. The headers are not changed. */
  open(status: number, headers: Headers | PlainHeaders): ResponseWire
  /** Sends a whole response. */
  respond(status: number, headers: Headers, body: string): void
}

/** Those that are always the same: `Headers` take 8 µs to be made and read (Node 20). */
export type PlainHeaders = Readonly<Record<string, string>>

export interface HostListener {
  /** The peer is gone. */
  gone(): void
}

export interface StreamingDeps extends SubscriptionDeps {
  readonly connections: Connections
  readonly outletHighWater: number
  readonly responseMeta: ResponseMetaFn<AnyTRPCRouter> | undefined
  /** Null where contexts hold for as long as their connections. */
  readonly expiry: ExpiryOptions | null
}

/** Whose stream it is, as far as it is known when its head is sent. */
interface Opening {
  readonly ctx: unknown
  readonly info: TRPCRequestInfo
  readonly errors: TRPCError[]
}

/** A client over HTTP says who it is with each request: to end the response is to ask it anew. */
export function expiryByEnding({ clock, expiry }: StreamingDeps, end: () => void): Expiry | null {
  return expiry && new Expiry(expiry, clock, { renew: () => {}, expired: end })
}

/** Sends the head of a stream of events. @throws whatever `responseMeta` throws. */
export function openEventStream(
  host: ResponseHost,
  { responseMeta }: StreamingDeps,
  { ctx, info, errors }: Opening,
): ResponseWire {
  if (!responseMeta) return host.open(200, eventStreamHeaders)
  const meta = responseMeta({
    ctx,
    info,
    paths: info.calls.map(({ path }) => path),
    data: [],
    errors,
    eagerGeneration: true, // the head is sent before the data are known
    type: 'subscription',
  })
  const headers = new Headers(eventStreamHeaders)
  addHeaders(headers, meta.headers)
  return host.open(meta.status ?? 200, headers)
}

const eventStreamHeaders: PlainHeaders = Object.fromEntries(
  new Headers({ vary: 'trpc-accept, accept', ...sseHeaders }),
)

/** Refuses a stream, and says when to come back if that helps. */
export function refuse(
  host: ResponseHost,
  error: SluiceError | TRPCError,
  deps: StreamingDeps,
  about: Partial<Pick<Origin, 'path' | 'type'>> = {},
): void {
  const shape = presentRefusal(host, error, deps, about)
  const passes = isSluiceError(error) && errorTable[error.code].retry !== 'never'
  const more: Record<string, string> = passes ? { 'retry-after': String(retryAfterSeconds) } : {}
  respondWithError(host, deps.desk, shape, more)
}

/** It is the state of the server, or the stranger's doing, and no failure of the application: no report. */
export function presentRefusal(
  host: ResponseHost,
  error: SluiceError | TRPCError,
  { desk }: StreamingDeps,
  about: Partial<Pick<Origin, 'path' | 'type'>> = {},
): TRPCErrorShape {
  return desk.present(toTRPCError(error), { ...originOf(host), ...about })
}

/** Answers with an error in place of a stream; one that cannot be encoded is reported, and replaced by one that can. */
export function respondWithError(
  host: ResponseHost,
  desk: ErrorDesk,
  shape: TRPCErrorShape,
  more: Readonly<Record<string, string>> = {},
): void {
  let body: string
  try {
    body = JSON.stringify({ error: desk.router._def._config.transformer.output.serialize(shape) })
  } catch (failure) {
    desk.report(failure, originOf(host))
    if (shape !== unpresentable) respondWithError(host, desk, unpresentable, more)
    return
  }
  const status = (shape.data as { httpStatus?: unknown } | undefined)?.httpStatus
  const headers = new Headers({ vary: 'trpc-accept, accept', 'content-type': 'application/json', ...more })
  host.respond(typeof status === 'number' ? status : 500, headers, body)
}

function originOf({ req }: ResponseHost): Origin {
  return { req, type: 'subscription', path: undefined, input: undefined, ctx: undefined }
}

function addHeaders(headers: Headers, more: ResponseMeta['headers']): void {
  if (more instanceof Headers) {
    for (const [name, value] of more) headers.append(name, value)
    return
  }
  for (const [name, value] of Object.entries(more ?? {})) {
    if (Array.isArray(value)) value.forEach(one => headers.append(name, one))
    else if (typeof value === 'string') headers.set(name, value)
  }
}
