/** A frame → the messages in it: text is JSON and passes the transformer, binary is in the codec that was agreed on. */
import { TRPCError } from '@trpc/server'
import type { CombinedDataTransformer } from '@trpc/server'
import type { Encoder } from '@trpc/server/adapters/ws'
import { untransformed, type Codec } from '../../shared/codec/codec.ts'
import { isSluiceError } from '../../shared/errors.ts'
import type { Extensions } from '../../shared/protocol/negotiate.ts'
import { countRefusal, type Counters } from '../observe/counters.ts'
import type { ErrorDesk } from '../procedures/present-error.ts'
import { parseIncoming, type Incoming } from './incoming.ts'
import type { Limits } from './limits.ts'
import { checkBatchLength, tooLongForStock } from './task.ts'

/** How a session reads. */
export interface FrameDeps {
  readonly desk: ErrorDesk
  readonly counters: Counters
  readonly limits: Limits
  /** For text, and for binary frames where no codec was agreed on. */
  readonly encoder: Encoder
  /** The longest batch of messages in one frame, by tRPC's option of that name, and refused in its words. */
  readonly maxBatchSize: number | undefined
}

interface Decoded {
  readonly messages: readonly unknown[]
  /** What their inputs have yet to pass. */
  readonly transformer: CombinedDataTransformer
}

/**
 * What is in a frame, whatever it is.
 *
 * @param codec null where none was agreed on.
 * @throws SluiceError as `Codec.decode` does, and whatever the JSON decoder throws.
 */
export function decodeFrame(
  frame: string | Uint8Array,
  codec: Codec | null,
  { encoder, desk, limits }: FrameDeps,
): Decoded {
  if (codec && typeof frame !== 'string') {
    const none = { input: untransformed, output: untransformed }
    const bounds = { maxDepth: limits.maxDepth, maxMessages: limits.maxBatchLength }
    return { messages: codec.decode(frame, bounds), transformer: none }
  }
  const { transformer } = desk.router._def._config
  const decoded = encoder.decode(frame)
  return { messages: Array.isArray(decoded) ? decoded : [decoded], transformer }
}

/** @throws TRPCError for too many of them, and as `parseIncoming` does for one that is none. */
export function parseMessages(
  { messages, transformer }: Decoded,
  extensions: Extensions,
  { limits, maxBatchSize, counters }: FrameDeps,
): Incoming[] {
  if (maxBatchSize !== undefined) checkBatchLength(messages.length, maxBatchSize, counters, tooLongForStock)
  checkBatchLength(messages.length, limits.maxBatchLength, counters)
  return messages.map(message => parseIncoming(message, transformer, extensions))
}

/** What the two throw, as it is told to the peer; counted, unless that was done where it was thrown. */
export function toRefusal(thrown: unknown, counters: Counters): TRPCError {
  if (thrown instanceof TRPCError) return thrown
  countRefusal(counters, isSluiceError(thrown) ? thrown.code : 'MESSAGE_INVALID')
  if (!isSluiceError(thrown)) return new TRPCError({ code: 'PARSE_ERROR', cause: thrown })
  const code = thrown.code === 'MESSAGE_INVALID' ? 'PARSE_ERROR' : 'BAD_REQUEST'
  return new TRPCError({ code, message: thrown.message, cause: thrown })
}
