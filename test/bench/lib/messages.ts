/** What the bench and its two child processes say to each other. */

export type Implementation = 'stock' | 'sluice'
export type Carrier = 'websocket' | 'sse'

export type Command =
  | { readonly do: 'start' }
  | { readonly do: 'tick'; readonly events: number }
  | { readonly do: 'stop' }

export type Report =
  | { readonly is: 'ready'; readonly port: number }
  | { readonly is: 'spent'; readonly cpuMicros: number; readonly rssBytes: number }

export type LoadCommand =
  | {
      readonly do: 'connect'
      readonly port: number
      readonly carrier: Carrier
      readonly subscribers: number
      readonly path: string
      readonly input: unknown
    }
  /** Say so when so many more events have arrived. */
  | { readonly do: 'expect'; readonly events: number }

export type LoadReport =
  | { readonly is: 'listening' }
  | { readonly is: 'connected' }
  | { readonly is: 'arrived' }
