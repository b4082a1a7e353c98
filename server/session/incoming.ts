/** What a client said over a WebSocket: tRPC's messages, and what our extensions add to them. */
import { TRPCError } from '@trpc/server'
import type { CombinedDataTransformer } from '@trpc/server'
import { parseTRPCMessage } from '@trpc/server/rpc'
import type { TRPCClientOutgoingMessage } from '@trpc/server/rpc'
import { z } from 'zod'
import { SluiceError } from '../../shared/errors.ts'
import { creditBounds, type Credit } from '../../shared/protocol/credit.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { Extensions } from '../../shared/protocol/negotiate.ts'

export interface Request {
  readonly message: TRPCClientOutgoingMessage
  /** The client has asked for this subscription before, and lost its connection. */
  readonly again: boolean
  /** Under which a mutation is to run once, however often it is sent. */
  readonly idempotencyKey: string | undefined
  /** It wants to know how far behind its subscription is. */
  readonly lag: boolean
}

/** What may come where a client can go on talking. */
export type Incoming =
  | (Request & {
      /** What the consumer of a subscription can take; null where it takes all that comes. */
      readonly credit: Credit | null
    })
  | { readonly granted: { readonly id: RequestId; readonly events: number } }

const { maxEvents, minBytes, maxBytes } = creditBounds
const Asked = z.object({
  events: z.int().min(1).max(maxEvents),
  bytes: z.int().min(minBytes).max(maxBytes),
})
const Grant = z.object({
  id: z.union([z.string(), z.number()]),
  params: z.object({ events: z.int().min(1).max(maxEvents) }),
})

/**
 * The longest id, in characters. It is said again in front of each event, and kept with batches that others are sent,
 * too: so nobody may have a long one.
 */
const maxIdLength = 256

export function isIdTooLong(id: unknown): boolean {
  return typeof id === 'string' && id.length > maxIdLength
}

/**
 * @throws SluiceError `MESSAGE_INVALID` for an id that is too long; Error when it is none of tRPC's messages, and
 *   whatever the transformer throws.
 */
export function parseRequest(value: unknown, transformer: CombinedDataTransformer): Request {
  if (isIdTooLong((value as { readonly id?: unknown } | null)?.id)) {
    throw new SluiceError(
      'MESSAGE_INVALID',
      `The id of a request is longer than ${maxIdLength} characters.`,
      {
        data: { limit: maxIdLength },
      },
    )
  }
  const message = parseTRPCMessage(value, transformer)
  // tRPC's parser has seen that it is an object, and drops the members that it does not know.
  const { params } = value as {
    readonly params?: { readonly again?: unknown; readonly idempotencyKey?: unknown; readonly lag?: unknown }
  }
  const key = params?.idempotencyKey
  return {
    message,
    again: params?.again === true,
    lag: params?.lag === true,
    idempotencyKey: typeof key === 'string' ? key : undefined,
  }
}

/** @throws as `parseRequest` does, and TRPCError `BAD_REQUEST` when it is a credit that makes no sense. */
export function parseIncoming(
  value: unknown,
  transformer: CombinedDataTransformer,
  { credits }: Extensions,
): Incoming {
  if (credits && (value as { method?: unknown } | null)?.method === 'subscription.credit') {
    const { id, params } = parseCredit(Grant, value)
    return { granted: { id, events: params.events } }
  }
  const { message, again, idempotencyKey, lag } = parseRequest(value, transformer)
  const { params } = value as { readonly params?: { readonly credit?: unknown } }
  const asked = credits && params?.credit !== undefined
  return { message, again, idempotencyKey, lag, credit: asked ? parseCredit(Asked, params.credit) : null }
}

function parseCredit<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new TRPCError({
    code: 'BAD_REQUEST',
    message: `The credit is none: ${z.prettifyError(result.error)}`,
  })
}
