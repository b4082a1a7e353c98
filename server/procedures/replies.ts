import type { TRPCErrorShape } from '@trpc/server/rpc'
import type { Lag } from '../../shared/items.ts'
import type { Batch } from '../topics/batch.ts'
import type { Outgoing } from '../topics/sink.ts'

export type { Batch }

/**
 * How the answers of one subscription leave it. Declared here, implemented by whoever holds the connection: the
 * session for a WebSocket, the SSE carrier for a response.
 *
 * The order is that of tRPC: `started` once, any number of `next` and `push`, then one ending. A subscription that cannot be
 * set up says `error` alone.
 */
export interface Replies {
  /**
   * The procedure has answered and its events follow.
   *
   * @param position the cursor at which it begins (an extension); null when there is none to tell.
   */
  started(position: string | null): void

  /** One event. @throws when the value cannot be encoded: the subscription then ends with that error. */
  next(value: unknown): void

  /** Several events of a topic, shared with other subscriptions. @throws as `next`; nothing was sent then. */
  push(batch: Batch<unknown>): void

  /**
   * How far behind it is (an extension), as soon as the connection has room. Settles when it is said; rejects if it
   * cannot be encoded.
   *
   * @param latest asked when there is room; null: it is not to be said any more.
   */
  lag(latest: () => Lag | null): Promise<void>

  /** Something failed. Never throws: a shape that cannot be encoded is replaced by one that can. */
  error(shape: TRPCErrorShape): void

  /** The source has come to its end by itself. */
  returned(): void

  /** It was ended from outside, or after an error. */
  stopped(): void

  /** Where the client counts (an extension): its consumer has taken so many events. Returns how many had been sent. */
  grant?(events: number): number

  /** Null while the connection takes more; else a promise that settles when it does again, or is gone. */
  readonly room: Promise<void> | null

  /** What the network has to take before there is room; null, or left out, where it is not the network that waits. */
  readonly outgoing?: Outgoing | null | undefined

  /** How many events it takes now, while there is room: `push` brings no more. `Infinity` where nobody counts. */
  readonly capacity: number
}
