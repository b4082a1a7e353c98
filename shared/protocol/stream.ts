/**
 * The stream carrier: one POST that lists subscriptions, and one response of server-sent events for all of them, each
 * event one of tRPC's messages. Wire: docs/wire.md, section 6.
 */
import type { ClientMessage } from './messages.ts'

/** Where below the router's base it is served. No identifier, so that it is hardly anybody's procedure. */
export const streamPath = ':stream'

/** What a client posts. */
export interface StreamBody {
  /** As over a WebSocket. */
  readonly subscriptions: readonly ClientMessage[]
  /** What `createContext` is given as `info.connectionParams`. */
  readonly connectionParams: Readonly<Record<string, string | undefined>> | null
  /**
   * Asks for a response that ends with its first news, or after so many milliseconds without: where somebody on the
   * way holds responses back until they are complete.
   */
  readonly holdMs: number | undefined
}
