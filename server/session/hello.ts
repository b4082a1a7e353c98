import { TRPCError } from '@trpc/server'
import type { Encoder } from '@trpc/server/adapters/ws'
import { parseConnectionParamsFromUnknown } from '@trpc/server/http'
import type { TRPCRequestInfo } from '@trpc/server/http'

/**
 * The first message of a WebSocket that was opened with `?connectionParams=1`: what the client wants to be known by.
 *
 * @throws TRPCError `PARSE_ERROR`.
 */
export function readConnectionParams(
  encoder: Encoder,
  frame: string | Uint8Array,
): TRPCRequestInfo['connectionParams'] {
  let message: unknown
  try {
    message = encoder.decode(frame)
  } catch (cause) {
    throw malformed(cause)
  }
  return parseHello(message)
}

/** @throws TRPCError `PARSE_ERROR`. */
export function parseHello(message: unknown): TRPCRequestInfo['connectionParams'] {
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    throw malformed(new Error('Message was not an object'))
  }
  return parseConnectionParamsFromUnknown('data' in message ? message.data : undefined)
}

/** Whether a later message is a hello, too: the client renews what it is known by. */
export function saysWho(message: unknown): boolean {
  return (
    typeof message === 'object' &&
    message !== null &&
    'method' in message &&
    message.method === 'connectionParams'
  )
}

function malformed(cause: unknown): TRPCError {
  return new TRPCError({
    code: 'PARSE_ERROR',
    message: 'Malformed TRPCConnectionParamsMessage',
    cause,
  })
}
