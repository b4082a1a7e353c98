/** What a trial and its two child processes say to each other. */
import type { Ask, Carrier, Opening } from './peer.ts'

export type Command =
  /** Publishes, and answers nothing: the answer would be measured. */
  | { readonly do: 'tick'; readonly events: number }
  | { readonly do: 'publish'; readonly events: number }
  /** One token for each model. */
  | { readonly do: 'turn' }
  | { readonly do: 'open'; readonly carrier: Carrier; readonly ask: Ask }
  | { readonly do: 'start' }
  | { readonly do: 'stop' }
  | { readonly do: 'weigh' }
  | { readonly do: 'count' }
  /** Resets every connection, as a crash does. */
  | { readonly do: 'cut' }

export type Report =
  | { readonly is: 'ready'; readonly port: number }
  | { readonly is: 'published'; readonly cursor: string }
  | { readonly is: 'opening'; readonly opening: Opening }
  | { readonly is: 'started' }
  | { readonly is: 'spent'; readonly cpuMicros: number }
  /** After garbage collection. */
  | { readonly is: 'weight'; readonly heapBytes: number; readonly rssBytes: number }
  /** How many events the floods were asked for. */
  | { readonly is: 'offered'; readonly events: number }

export type LoadCommand =
  | {
      readonly do: 'connect'
      readonly port: number
      readonly opening: Opening
      readonly connections: number
      /** Of each connection. */
      readonly subscriptions: number
      /** Whether what comes is read. */
      readonly reads: boolean
    }
  /** Say so when so many more events have arrived. */
  | { readonly do: 'expect'; readonly events: number }
  /** A subscription, or a connection with one, until its first event, and the next one then. */
  | {
      readonly do: 'cycle'
      readonly of: 'subscription' | 'connection'
      readonly port: number
      readonly opening: Opening
      /** On each line. */
      readonly cycles: number
      /** How many do so at once, each on a connection of its own. */
      readonly lines: number
      /** How many subscriptions begin, and end, together on each. */
      readonly together: number
    }
  | { readonly do: 'count' }

export type LoadReport =
  | { readonly is: 'listening' }
  | { readonly is: 'connected' }
  | { readonly is: 'arrived' }
  | { readonly is: 'cycled' }
  /** All that has arrived, to be compared with what was sent. */
  | { readonly is: 'total'; readonly events: number }
