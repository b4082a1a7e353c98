/**
 * The body of a request as a stream of bytes, for a procedure that takes one: read when the procedure reads and not
 * before, so that a slow procedure holds its client back, and no more of it is in memory than what the host reads
 * ahead. (tRPC's own adapter for Node takes in all that comes, however slowly it is read, and leaves a reader whose
 * client is gone waiting for ever.)
 */
import { TRPCError } from '@trpc/server'
import type { Clock } from '../../shared/clock.ts'
import { passing } from '../../shared/iterate/passing.ts'
import { toReadableStream } from '../../shared/iterate/web-streams.ts'
import type { NodeRequest } from './context.ts'

/** How long a client may go on to send what the procedure has not read, in milliseconds. */
const lingerMs = 2_000

/** What tRPC hands to procedures as a `ReadableStream`. */
export function isByteStream(method: string, contentType: string | null | undefined): boolean {
  return method === 'POST' && contentType?.startsWith('application/octet-stream') === true
}

/** A body that fails with `PAYLOAD_TOO_LARGE` once it is longer than `maxBytes`. Nothing is read before it is. */
export function limitBody(
  source: AsyncIterable<Uint8Array<ArrayBuffer>>,
  maxBytes: number,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let bytes = 0
  const limited = passing(source, result => {
    bytes += result.done ? 0 : result.value.byteLength
    if (bytes <= maxBytes) return result
    throw new TRPCError({
      code: 'PAYLOAD_TOO_LARGE',
      message: `The body is longer than ${maxBytes} bytes, which is the limit.`,
    })
  })
  return toReadableStream(limited)
}

/** What a request of Node's brings. Fails with an `AbortError` when the client goes before all of it is here. */
export async function* readNodeBody(req: NodeRequest): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  try {
    // Not destroyed by a procedure that has read enough: its client is yet to be answered.
    const chunks: AsyncIterable<Buffer<ArrayBuffer>> = req.iterator({ destroyOnReturn: false })
    for await (const { buffer, byteOffset, byteLength } of chunks) {
      yield new Uint8Array(buffer, byteOffset, byteLength)
    }
  } catch (cause) {
    const abort = new DOMException('The client has gone in the middle of its request.', 'AbortError')
    throw Object.assign(abort, { cause })
  }
}

/**
 * Takes what a procedure has left unread, for a client that reads its answer only when it is rid of its request, or
 * whose connection is to be used again; one that sends on and on is cut off.
 */
export function discardBody(req: NodeRequest, clock: Clock): void {
  if (req.closed) return
  req.on('error', () => {}) // nobody reads it any more
  req.resume()
  const timer = clock.after(lingerMs, () => cutOff(req, noError))
  req.once('close', () => timer.cancel())
}

/** RFC 9113 7: of HTTP/2, where only the stream is cut off, and told why. */
export const noError = 0x00
export const cancelled = 0x08

/** Takes no more of a request: an HTTP/1.1 connection ends with it. */
export function cutOff(req: NodeRequest, code: typeof noError | typeof cancelled): void {
  if ('stream' in req) req.stream.close(code)
  else req.destroy()
}
