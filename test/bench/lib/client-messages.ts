/** What the bench and a client under measurement say to each other. */

export type LinkName =
  | 'wsLink'
  | 'httpSubscriptionLink'
  | 'sluiceLink, websocket'
  | 'sluiceLink, sse'
  /** No link, but `ws` and JSON. */
  | 'ws'

/** Reads so many events of a flood. */
export interface ClientCommand {
  readonly port: number
  readonly events: number
}

export type ClientReport = { readonly is: 'listening' } | { readonly is: 'read'; readonly cpuMicros: number }
