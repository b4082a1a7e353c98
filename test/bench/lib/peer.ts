/** What a server under measurement is to the bench: something to publish to, and something to ask. */
import type http from 'node:http'
import type { FloodOptions } from './sources.ts'

export const peers = {
  stock: 'stock tRPC',
  sluice: 'Sluice',
  generator: 'Sluice, own generator',
  orpc: 'oRPC',
  socketio: 'Socket.IO',
  hono: 'Hono',
  graphql: 'graphql-ws',
  ws: 'ws, one string to all',
  floor: 'floor',
} as const

export type PeerName = keyof typeof peers

export type Carrier = 'websocket' | 'sse'

/** What a reader wants. */
export type Ask =
  /** What is published from now on, or after a cursor. */
  | { readonly for: 'events'; readonly after?: string }
  | ({ readonly for: 'flood' } & FloodOptions)
  | { readonly for: 'tokens' }

/** Something to say, and what the answer contains. `{id}` stands for a number that is new each time. */
export interface Exchange {
  readonly say: string
  /** Not waited for, where there is none. */
  readonly hear?: string
}

/** How a bare socket becomes a subscription: data, so that the load clients need to know no protocol. */
export interface Opening {
  /** Whether the server's frames may be deflated, upon the request. */
  readonly deflated?: boolean
  /** Said as it stands: an HTTP request. */
  readonly request: Exchange
  /** WebSocket messages that are said once per connection. */
  readonly hello?: readonly Exchange[]
  /** WebSocket messages, for each subscription. Over SSE the request is the subscription. */
  readonly subscribe?: Exchange
  readonly unsubscribe?: Exchange
}

export interface Peer {
  /** Sends an event to all who listen. Returns the cursor from which a reader may come back. */
  publish(n: number): string | Promise<string>
  /** @throws Error for what the peer is not asked in any scenario. */
  opening(carrier: Carrier, ask: Ask): Opening
}

/** What each file of peers/ exports as `serve`. */
export type Serve = (server: http.Server, options: ServeOptions) => Peer

export interface ServeOptions {
  /** Whether WebSockets deflate every message, by itself or with those it goes out with. */
  readonly deflates: boolean
}
