/** The peer of a WebSocket, as the application's `createContext` is to know it. */
import type { TRPCRequestInfo } from '@trpc/server/http'
import type { Codec } from '../../shared/codec/codec.ts'
import type { Extensions } from '../../shared/protocol/negotiate.ts'

/** What is known of the peer when its socket opens. */
export interface Guest {
  readonly req: unknown
  readonly extensions: Extensions
  /** What it would like binary frames to be in, if we have that; it understands text at all times. */
  readonly codec: Codec | null
  /** Whether its first message says who it is. */
  readonly sendsParams: boolean
  /** @param info asked for where the application makes contexts. */
  createContext(info: () => TRPCRequestInfo): unknown
}

/**
 * What tRPC tells of a connection whose requests are yet to come.
 *
 * @param signal asked for when the application does: most do not.
 */
export function toInfo(
  connectionParams: TRPCRequestInfo['connectionParams'],
  signal: () => AbortSignal,
): TRPCRequestInfo {
  return {
    connectionParams,
    calls: [],
    isBatchCall: false,
    accept: null,
    type: 'unknown',
    url: null,
    get signal() {
      return signal()
    },
  }
}
