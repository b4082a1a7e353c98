import { TRPCError } from '@trpc/server'
import { toReadableStream } from '../../shared/iterate/web-streams.ts'

/** A body that fails with `PAYLOAD_TOO_LARGE` once it is longer than `maxBytes`. Nothing is read before it is. */
export function limitBody(
  source: AsyncIterable<Uint8Array<ArrayBuffer>>,
  maxBytes: number,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return toReadableStream(limit(source, maxBytes))
}

async function* limit(source: AsyncIterable<Uint8Array<ArrayBuffer>>, maxBytes: number) {
  let bytes = 0
  for await (const chunk of source) {
    bytes += chunk.byteLength
    if (bytes > maxBytes) {
      throw new TRPCError({
        code: 'PAYLOAD_TOO_LARGE',
        message: `The body is longer than ${maxBytes} bytes, which is the limit.`,
      })
    }
    yield chunk
  }
}
