/** What the stall test and its server say to each other. */

export type Command =
  | { readonly do: 'publish'; readonly count: number; readonly bytes: number }
  | { readonly do: 'measure' }

export type Report =
  | { readonly is: 'ready'; readonly port: number; readonly port2: number }
  | { readonly is: 'published' }
  | Measured

export interface Measured {
  readonly is: 'measured'
  /** Heap and external memory after a garbage collection. */
  readonly heapBytes: number
  /** Resident, with what is mapped of the store's file, which the kernel only lends. */
  readonly residentBytes: number
  /** Resident, without the mapped files; null where the system does not tell. */
  readonly anonymousBytes: number | null
  /** Subscriptions ended because their connection had no room for too long. */
  readonly disconnected: number
  /** Subscriptions for which there is more than their connection takes. */
  readonly behind: number
}
