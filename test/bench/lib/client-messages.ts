/** What the bench and a client under measurement say to each other. */

export type LinkName =
  | 'wsLink'
  | 'httpSubscriptionLink'
  | 'sluiceLink, websocket'
  | 'sluiceLink, websocket, at once'
  | 'sluiceLink, sse'
  /** No link, but `ws` and JSON. */
  | 'ws'

/** Reads so many events of a flood. */
export interface ClientCommand {
  readonly port: number
  readonly events: number
}

export type ClientReport = { readonly is: 'listening' } | { readonly is: 'read'; readonly cpuMicros: number }

export type HerdCommand =
  /** So many clients, each with one subscription to what is published. */
  | { readonly do: 'connect'; readonly port: number; readonly clients: number }
  /** Say so when each has received so many more events, and what that took. */
  | { readonly do: 'expect'; readonly events: number }
  | { readonly do: 'count' }

export type HerdReport =
  | { readonly is: 'listening' }
  | { readonly is: 'connected' }
  | { readonly is: 'expecting' }
  | { readonly is: 'received'; readonly cpuMicros: number }
  /** All that was received, to be compared with what was sent. */
  | { readonly is: 'total'; readonly events: number }
