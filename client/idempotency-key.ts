/**
 * Under which a mutation runs once, however often it is sent: a member of the operation's context. The outbox gives
 * each of its own; an application may, too: `mutate(input, { context: { idempotencyKey } })`.
 */
import type { OperationContext } from '@trpc/client'
import { toText } from './transports/decode.ts'

export function idempotencyKeyOf({ idempotencyKey }: OperationContext): string | undefined {
  return toText(idempotencyKey)
}
