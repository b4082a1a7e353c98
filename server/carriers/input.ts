import { TRPCError } from '@trpc/server'
import type { AnyTRPCRouter } from '@trpc/server'
import type { SubscriptionRequest } from './request.ts'

/** The input of a request, read when a parser asks for it, and once. */
export interface RawInput {
  /** @throws TRPCError `BAD_REQUEST` when it is not JSON, or the transformer refuses it. */
  read(): Promise<unknown>
  /** What was read so far: for `onError` and the error formatter, which must not cause a reading. */
  known(): unknown
}

export function createInput(
  request: SubscriptionRequest,
  router: AnyTRPCRouter,
  readBody: () => Promise<string>,
): RawInput {
  let value: unknown = undefined
  let reading: Promise<unknown> | null = null

  const read = async () => {
    const { method, url } = request.head
    try {
      const json = method === 'GET' ? url.searchParams.get('input') : await readBody()
      if (json) value = router._def._config.transformer.input.deserialize(JSON.parse(json))
      return value
    } catch (cause) {
      if (cause instanceof TRPCError) throw cause
      const message = cause instanceof Error ? cause.message : 'Invalid input'
      throw new TRPCError({ code: 'BAD_REQUEST', message, cause })
    }
  }
  return { read: () => (reading ??= read()), known: () => value }
}
