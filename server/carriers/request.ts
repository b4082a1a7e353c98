/**
 * Which HTTP requests are ours. A request for one subscription is answered here; everything else goes to tRPC's own
 * adapters: queries, mutations, batches, `HEAD`, and whatever is malformed before a procedure is reached, so that
 * it is refused in tRPC's own words.
 */
import { parseConnectionParamsFromString } from '@trpc/server/http'
import type { TRPCRequestInfo } from '@trpc/server/http'
import type { AnyTRPCProcedure, AnyTRPCRouter } from '@trpc/server'
import { againParam, lagParam } from '../../shared/protocol/negotiate.ts'
import { findProcedure } from '../procedures/call.ts'

/** When a peer that was refused for lack of room may ask again. */
export const retryAfterSeconds = 5

/** A request as far as its head tells, whichever host it came through. */
export interface RequestHead {
  readonly method: string
  readonly url: URL
  /** Of the procedure, as the URL has it. */
  readonly path: string
  header(name: string): string | null
}

/** A request for a subscription. */
export interface SubscriptionRequest {
  readonly head: RequestHead
  /** Of the procedure, as the router has it. */
  readonly path: string
  readonly procedure: AnyTRPCProcedure
  readonly connectionParams: TRPCRequestInfo['connectionParams']
  readonly lastEventId: string | null
  /** Whether the client says that it has asked before (an extension). */
  readonly again: boolean
  /** The client wants to know how far behind it is. */
  readonly lag: boolean
}

/** The subscription that a request asks for; null if it is tRPC's to answer. Never rejects. */
export async function findSubscription(
  router: AnyTRPCRouter,
  head: RequestHead,
): Promise<SubscriptionRequest | null> {
  const { searchParams } = head.url
  if (head.method === 'HEAD' || searchParams.get('batch') === '1' || !hasJsonInput(head)) return null
  if (wantsJsonLines(head)) return null
  try {
    const path = toProcedurePath(router, decodeURIComponent(head.path))
    const procedure = await findProcedure(router, path)
    if (procedure?._def.type !== 'subscription') return null
    const params = searchParams.get('connectionParams')
    return {
      head,
      path,
      procedure,
      connectionParams: params === null ? null : parseConnectionParamsFromString(params),
      again: searchParams.get(againParam) === '1',
      lag: searchParams.get(lagParam) === '1',
      lastEventId:
        head.header('last-event-id') ?? searchParams.get('lastEventId') ?? searchParams.get('Last-Event-Id'),
    }
  } catch {
    return null // malformed, or a lazy router that cannot be loaded: tRPC's adapter meets the same and says so
  }
}

/** Whether the path or the params in a URL cannot be read: tRPC's adapter meets the same and says so. */
export function isMalformed(head: RequestHead): boolean {
  const { method, path, url } = head
  if (decode(path) === null) return true
  const params = url.searchParams.get('connectionParams')
  if (params === null || method === 'HEAD' || !hasJsonInput(head)) return false
  try {
    parseConnectionParamsFromString(params)
    return false
  } catch {
    return true // in whichever way
  }
}

/** How many calls a request is, as tRPC counts them. */
export function batchLengthOf(head: RequestHead): number {
  const { method, path, url } = head
  const isBatch = method !== 'HEAD' && url.searchParams.get('batch') === '1' && hasJsonInput(head)
  return isBatch ? (decode(path)?.split(',').length ?? 1) : 1
}

function decode(path: string): string | null {
  try {
    return decodeURIComponent(path)
  } catch {
    return null // no UTF-8
  }
}

/** The procedures that a request asks for, taken apart as tRPC does; none if it is malformed, and refused there. */
export function pathsOf(router: AnyTRPCRouter, { url, path }: RequestHead): string[] {
  try {
    const decoded = decodeURIComponent(path)
    const paths = url.searchParams.get('batch') === '1' ? decoded.split(',') : [decoded]
    return paths.map(one => toProcedurePath(router, one))
  } catch {
    return []
  }
}

/** tRPC takes a body only as JSON, except for a GET, which has none. To the letter as it tells them apart. */
function hasJsonInput(head: RequestHead): boolean {
  const type = head.header('content-type') ?? ''
  if (type.startsWith('application/json')) return true
  const otherInput = type.startsWith('multipart/form-data') || type.startsWith('application/octet-stream')
  return head.method === 'GET' && !otherInput
}

function wantsJsonLines(head: RequestHead): boolean {
  const jsonLines = 'application/jsonl'
  const asked = head.header('trpc-accept')
  if (asked !== null) return asked === jsonLines
  const accepted = head.header('accept')?.split(',') ?? []
  return accepted.some(type => type.trim() === jsonLines)
}

/** Since 11.20, an app may choose what stands between the segments of a path in URLs: `post~byId`. */
function toProcedurePath(router: AnyTRPCRouter, path: string): string {
  const { pathSeparator } = router._def._config as { pathSeparator?: string }
  return pathSeparator === undefined ? path : path.split(pathSeparator).join('.')
}

/** The part of a URL's path below the base; null if it lies elsewhere. */
export function pathBelow(base: string, pathname: string): string | null {
  if (pathname.startsWith(base)) return pathname.slice(base.length)
  return `${pathname}/` === base ? '' : null
}

/** `/trpc` → `/trpc/`: both may be written. */
export function normalizeBasePath(base: string): string {
  return `/${base}/`.replace(/\/{2,}/g, '/')
}
