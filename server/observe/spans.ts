/**
 * Calls and publishes as OpenTelemetry spans. The conventions for RPC name what a call is, those for messaging what a
 * publish is. What a procedure does runs within its span, so that the spans of a database client lie below it.
 */
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { Context, Span, TextMapGetter, Tracer } from '@opentelemetry/api'
import { TRPCError } from '@trpc/server'
import { isSluiceError } from '../../shared/errors.ts'
import { isAbortError } from '../procedures/present-error.ts'
import type { Published, Topic } from '../topics/topic.ts'
import type { CallObserver } from './calls.ts'

/** The path is the client's to choose: a longer one is cut. */
const maxNameLength = 200

export function createCallSpans(tracer: Tracer): CallObserver {
  return ({ path = '', type, req }) => {
    const name = path.slice(0, maxNameLength)
    const attributes = { 'rpc.system': 'trpc', 'rpc.method': name, 'sluice.operation': type }
    const parent = parentOf(req)
    const span = tracer.startSpan(`${type} ${name}`, { kind: SpanKind.SERVER, attributes }, parent)
    const within = trace.setSpan(parent, span)
    return {
      run: work => context.with(within, work),
      end(error) {
        // Who is told to stop, and does, has not failed.
        if (error !== null && !isAbortError(error)) fail(span, error)
        span.end()
      },
    }
  }
}

/** The span of whoever has taken the request in, such as OpenTelemetry's own for HTTP; else what the client sent. */
function parentOf(req: unknown): Context {
  const active = context.active()
  if (trace.getSpan(active) || typeof req !== 'object' || req === null || !('headers' in req)) return active
  return propagation.extract(active, req.headers, headers)
}

const headers: TextMapGetter<unknown> = {
  keys: carrier => (carrier instanceof Headers ? [...carrier.keys()] : Object.keys(carrier as object)),
  get: (carrier, name) => {
    if (carrier instanceof Headers) return carrier.get(name) ?? undefined
    return (carrier as Record<string, string | string[] | undefined>)[name] // those of Node
  },
}

function fail(span: Span, error: unknown): void {
  const failure = error instanceof Error ? error : new Error(String(error))
  const inner = failure instanceof TRPCError && isSluiceError(failure.cause) ? failure.cause : failure
  const type = isSluiceError(inner) || inner instanceof TRPCError ? inner.code : failure.name
  span.setAttribute('error.type', type)
  span.setStatus({ code: SpanStatusCode.ERROR, message: failure.message })
  span.recordException(failure)
}

/**
 * The same topic, with a span around each publish.
 *
 * @param options.tracer default: the global one named `trpc-sluice`.
 * @example
 * ```ts
 * const room = withPublishSpans(createTopic({ name: 'room', event: RoomEvent }))
 * ```
 */
export function withPublishSpans<Input, Event, Item>(
  topic: Topic<Input, Event, Item>,
  { tracer = trace.getTracer('trpc-sluice') }: { readonly tracer?: Tracer } = {},
): Topic<Input, Event, Item> {
  return {
    ...topic,
    publish(key, event, options) {
      const attributes = {
        'messaging.system': 'sluice',
        'messaging.operation.name': 'publish',
        'messaging.operation.type': 'send',
        'messaging.destination.name': topic.name,
        'messaging.destination.partition.id': key,
      }
      const name = `publish ${topic.name}`
      return tracer.startActiveSpan(
        name,
        { kind: SpanKind.PRODUCER, attributes },
        async (span): Promise<Published> => {
          try {
            const published = await topic.publish(key, event, options)
            span.setAttribute('messaging.message.id', published.id)
            return published
          } catch (thrown) {
            fail(span, thrown)
            throw thrown
          } finally {
            span.end()
          }
        },
      )
    },
  }
}
