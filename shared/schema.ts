/** Pieces of zod schemas for procedures that stream. */
import { z } from 'zod'

/** What a subscription says of being invoked again by a client that has lost its connection. */
export type RetryContract = 'resumable' | 'once'

/** By the schema itself: what zod derives from one (`.extend()`, `.refine()`) has to be wrapped last. */
const contracts = new WeakMap<object, RetryContract>()

/** What a client may hand over as bytes. */
export type ByteSource = ReadableStream<Uint8Array<ArrayBuffer>> | Blob | Uint8Array<ArrayBuffer>

/** Longer than any cursor of ours, and than what fits comfortably in a URL. */
const maxCursorLength = 1024

/**
 * The input of a subscription that can be resumed: adds `lastEventId`, which tRPC fills in when a client comes back.
 *
 * @example
 * ```ts
 * onRoom: procedure.input(resumable({ room: z.string() }))
 *   .subscription(({ input, signal }) => room.subscribe(input.room, { after: input.lastEventId, signal }))
 * ```
 */
export function resumable<Shape extends z.ZodRawShape = Record<never, never>>(shape?: Shape) {
  const schema = z.object({ ...(shape as Shape), lastEventId: z.string().max(maxCursorLength).optional() })
  contracts.set(schema, 'resumable')
  return schema
}

/**
 * The input of a subscription that must not run twice, for what it does besides telling: a client of ours that comes
 * back after its connection was lost gets the error `LOST`, and no second execution. So does every other client that
 * returns with the id of an event. What should go on instead, whoever looks, is a run (`createRun`).
 *
 * @example
 * ```ts
 * onCheckout: procedure.input(once({ cart: z.string() })).subscription(async function* ({ input }) { … })
 * ```
 */
export function once<Shape extends z.ZodRawShape = Record<never, never>>(shape?: Shape) {
  const schema = z.object({ ...(shape as Shape) })
  contracts.set(schema, 'once')
  return schema
}

/** The contract of a procedure, by the schemas of its input; null where it says nothing. */
export function contractOf(schemas: readonly unknown[]): RetryContract | null {
  for (const schema of schemas) {
    const contract = typeof schema === 'object' && schema !== null ? contracts.get(schema) : undefined
    if (contract) return contract
  }
  return null
}

/**
 * The input of a mutation that is fed by a stream: the body of its request (`application/octet-stream`), which waits
 * while the procedure does. Like tRPC's `octetInputParser`, of which it is a superset: the client's side of the type
 * may also be a `ReadableStream`, which `sluiceLink` sends as it comes. It fails in the procedure's hands with an
 * `AbortError` when the client leaves, and with `PAYLOAD_TOO_LARGE` beyond `limits.maxStreamBytes`.
 *
 * @example
 * ```ts
 * upload: procedure.input(byteStream()).mutation(async ({ input, signal }) => {
 *   await pipeline(fromReadableStream(input), createWriteStream(path), { signal })
 * })
 * ```
 */
export function byteStream() {
  return z
    .custom<ByteSource>(isByteSource, 'Expected bytes: a body of type application/octet-stream')
    .transform(toStream)
}

function isByteSource(value: unknown): boolean {
  return value instanceof ReadableStream || value instanceof Blob || value instanceof Uint8Array
}

/** Over HTTP it is one already; a procedure that is called within the process may be handed all three. */
function toStream(source: ByteSource): ReadableStream<Uint8Array<ArrayBuffer>> {
  if (source instanceof ReadableStream) return source
  return (source instanceof Blob ? source : new Blob([source])).stream()
}
