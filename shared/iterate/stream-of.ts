import { isTrackedEnvelope, tracked } from '@trpc/server'
import type { TrackedEnvelope } from '@trpc/server'
import { z } from 'zod'
import { SluiceError } from '../errors.ts'
import { isAsyncIterable } from './async-iterable.ts'
import { passing } from './passing.ts'

export interface StreamOfOptions<R extends z.ZodType> {
  /** Schema of what the generator returns; left out, the return value is passed on unseen. */
  readonly returns?: R
}

/** What an item of the stream looks like once its payload has been parsed: a tracked one stays tracked. */
type Parsed<T> = T | TrackedEnvelope<T>

/**
 * An output schema for a procedure that yields: each value is validated (and transformed) as it passes. Tracked
 * values are validated inside their envelope and keep their id.
 *
 * @throws SluiceError `STREAM_INVALID` into the subscription when the procedure yields or returns what the schema
 *   refuses; the source is closed then.
 * @example
 * ```ts
 * onTick: t.procedure.output(streamOf(z.object({ at: z.date() }))).subscription(async function* () { … })
 * ```
 */
export function streamOf<E extends z.ZodType, R extends z.ZodType = z.ZodUnknown>(
  event: E,
  options: StreamOfOptions<R> = {},
) {
  type Out = AsyncGenerator<z.output<E>, z.output<R>, undefined>
  type In = AsyncIterable<Parsed<z.input<E>>, z.input<R>, undefined>
  return z.custom<In>(isAsyncIterable, 'Expected an async iterable').transform(source => {
    // The envelope is part of the values at run time and not of the schema's type: tRPC's client type unwraps it.
    return validated(source, event, options.returns) as Out
  })
}

/** The same for a procedure whose every value is `tracked()`: the client gets `{ id, data }`. */
export function trackedStreamOf<E extends z.ZodType, R extends z.ZodType = z.ZodUnknown>(
  event: E,
  options: StreamOfOptions<R> = {},
) {
  type Out = AsyncGenerator<TrackedEnvelope<z.output<E>>, z.output<R>, undefined>
  type In = AsyncIterable<TrackedEnvelope<z.input<E>>, z.input<R>, undefined>
  return z.custom<In>(isAsyncIterable, 'Expected an async iterable').transform(source => {
    return validated(source, event, options.returns) as Out
  })
}

function validated(
  source: AsyncIterable<unknown, unknown, undefined>,
  event: z.ZodType,
  returns: z.ZodType | undefined,
): AsyncGenerator<unknown, unknown, undefined> {
  return passing(source, async ({ done, value }) => {
    if (done) return { done, value: returns ? await parse(returns, value, 'returned') : value }
    if (!isTrackedEnvelope(value)) return { done: false, value: await parse(event, value, 'yielded') }
    return { done: false, value: tracked(value[0], await parse(event, value[1], 'yielded')) }
  })
}

async function parse(schema: z.ZodType, value: unknown, what: 'yielded' | 'returned'): Promise<unknown> {
  const parsed = await schema.safeParseAsync(value)
  if (parsed.success) return parsed.data
  throw new SluiceError(
    'STREAM_INVALID',
    `The procedure ${what} a value that its streamOf() schema refuses: ${z.prettifyError(parsed.error)}`,
    { cause: parsed.error },
  )
}
