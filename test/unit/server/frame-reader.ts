/** A session's reading of its frames, without a session. */
import { initTRPC, type TRPCError } from '@trpc/server'
import { jsonEncoder } from '@trpc/server/adapters/ws'
import type superjson from 'superjson'
import { createCounters } from '../../../server/observe/counters.ts'
import { withInputDepth } from '../../../server/procedures/input-depth.ts'
import { ErrorDesk } from '../../../server/procedures/present-error.ts'
import { withSuperjsonInput } from '../../../server/procedures/quick-superjson.ts'
import { decodeFrame, parseMessages, toRefusal, type FrameDeps } from '../../../server/session/frames.ts'
import type { Incoming } from '../../../server/session/incoming.ts'
import { Limits } from '../../../server/session/limits.ts'
import type { Codec } from '../../../shared/codec/codec.ts'
import { negotiate } from '../../../shared/protocol/negotiate.ts'

export type Read = { readonly messages: readonly Incoming[] } | { readonly refusal: TRPCError }

/** With the limits and the extensions that there are by default. */
export function createFrameReader(
  config: { transformer?: typeof superjson } = {},
  codec: Codec | null = null,
): (frame: string | Uint8Array) => Read {
  const limits = Limits.parse({})
  const refused = () => {}
  const router = withInputDepth(
    withSuperjsonInput(initTRPC.create(config).router({}), refused),
    limits.maxDepth,
    refused,
  )
  const deps: FrameDeps = {
    desk: new ErrorDesk(router, undefined),
    counters: createCounters(),
    limits,
    encoder: jsonEncoder,
    maxBatchSize: undefined,
  }
  const extensions = negotiate(new URLSearchParams('sluice=1'))
  return frame => {
    try {
      return { messages: parseMessages(decodeFrame(frame, codec, deps), extensions, deps) }
    } catch (thrown) {
      return { refusal: toRefusal(thrown, deps.counters) }
    }
  }
}
