/** What a client said over a WebSocket: tRPC's messages, and what our extensions add to them. */
import type { CombinedDataTransformer } from '@trpc/server'
import { parseTRPCMessage } from '@trpc/server/rpc'
import type { TRPCClientOutgoingMessage } from '@trpc/server/rpc'

export interface Incoming {
  readonly message: TRPCClientOutgoingMessage
  /** The client has asked for this subscription before, and lost its connection. */
  readonly again: boolean
}

/** @throws Error when it is none of tRPC's messages, and whatever the transformer throws. */
export function parseIncoming(value: unknown, transformer: CombinedDataTransformer): Incoming {
  const message = parseTRPCMessage(value, transformer)
  // tRPC's parser has seen that it is an object, and drops the members that it does not know.
  const { params } = value as { readonly params?: { readonly again?: unknown } }
  return { message, again: params?.again === true }
}
