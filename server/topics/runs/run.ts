/**
 * A run: a generator that the server executes once, detached from any connection, writing what it yields to a log.
 * Any number of clients start, attach, leave and come back; a finished run replays from its log. This file is the
 * public face: the builder, and the four procedures that it makes.
 */
import type {
  inferProcedureBuilderResolverOptions,
  TRPCMutationProcedure,
  TRPCProcedureBuilder,
  TRPCQueryProcedure,
  TRPCSubscriptionProcedure,
  TRPCUnsetMarker,
} from '@trpc/server'
import { z } from 'zod'
import type { Clock } from '../../../shared/clock.ts'
import type { Fold, RunEnd, Snapshot } from '../../../shared/items.ts'
import { resumable } from '../../../shared/schema.ts'
import type { Store } from '../../stores/store.ts'
import { Runs } from './runs.ts'
import type { RunHandlerOptions, RunStatus } from './runs.ts'

export interface RunOptions<
  Context,
  Meta,
  Overrides,
  Input extends z.ZodType,
  Event extends z.ZodType,
  Result extends z.ZodType,
  State,
> {
  /** 1 to 60 letters, digits, dots, dashes or underscores. The same name in the same store is the same kind of run. */
  readonly name: string
  /** The app's own procedure, with its middleware: it authorises all four procedures. */
  readonly procedure: TRPCProcedureBuilder<
    Context,
    Meta,
    Overrides,
    TRPCUnsetMarker,
    TRPCUnsetMarker,
    TRPCUnsetMarker,
    TRPCUnsetMarker,
    false
  >
  /** Schema of what a run is started with. */
  readonly input: Input
  /** Schema of what the handler yields. */
  readonly event: Event
  /** Schema of what the handler returns. */
  readonly result?: Result
  /** Where the logs are kept. Default: a memory store of this kind's own. */
  readonly store?: Store
  /** A typed reducer: who attaches gets one folded state, then deltas. */
  readonly fold?: Fold<z.output<Event>, State>
  /** A run whose owner is not heard of for so long is interrupted. Default 5,000 ms. */
  readonly leaseMs?: number
  /** A stopped handler may take so long to finish. Default 5,000 ms. */
  readonly graceMs?: number
  /** A finished run is kept for so long. Default 7 days. */
  readonly retainMs?: number
  /** Hears of handlers that failed or did not stop. Default: `console.error`. */
  readonly onError?: (error: Error) => void
  readonly clock?: Clock
}

/** What `attach` delivers: the events, a state before them where there is a fold, and at last how it ended. */
export type RunItem<Event, Result, State> =
  | Event
  | RunEnd<Result>
  | ([State] extends [never] ? never : Snapshot<State>)

/** The four procedures of a kind of run, ready to stand in a router. */
// Not an interface: tRPC takes a record of procedures, and only a type alias is one.
export type RunProcedures<Meta, Input, Result, Item> = {
  /** Starts a run, or finds the one of that id, whatever its input was: the same id never runs twice. */
  start: TRPCMutationProcedure<{
    input: { id?: string | undefined; input: Input }
    output: { id: string }
    meta: Meta
  }>
  /** The run's items from the beginning, or after the cursor; completes after the end of the run. */
  attach: TRPCSubscriptionProcedure<{
    input: { id: string; lastEventId?: string | undefined }
    output: AsyncIterable<{ id: string; data: Item }, void, unknown>
    meta: Meta
  }>
  /** Stops a run, wherever it runs. Nothing happens to one that has ended. */
  stop: TRPCMutationProcedure<{ input: { id: string }; output: { id: string }; meta: Meta }>
  status: TRPCQueryProcedure<{ input: { id: string }; output: RunStatus<Result>; meta: Meta }>
}

/**
 * Describes a kind of run; `.handler()` gives it its generator.
 *
 * @throws RangeError for a name that makes no sense.
 * @example
 * ```ts
 * answer: createRun({ name: 'answer', procedure, input: Ask, event: Token, result: Answer, store })
 *   .handler(async function* ({ input, signal }) {
 *     for await (const token of llm.stream(input.prompt, { signal })) yield token
 *     return { done: true }
 *   })
 * ```
 */
export function createRun<
  Context,
  Meta,
  Overrides,
  Input extends z.ZodType,
  Event extends z.ZodType,
  Result extends z.ZodType = z.ZodUnknown,
  State = never,
>(options: RunOptions<Context, Meta, Overrides, Input, Event, Result, State>) {
  type Ctx = inferProcedureBuilderResolverOptions<(typeof options)['procedure']>['ctx']
  type Handler = (
    options: RunHandlerOptions<z.output<Input>, Ctx>,
  ) => AsyncIterable<z.input<Event>, z.input<Result>, undefined>
  type Procedures = RunProcedures<
    Meta,
    z.input<Input>,
    z.output<Result>,
    RunItem<z.output<Event>, z.output<Result>, State>
  >
  return {
    handler(handler: Handler): Procedures {
      const { fold, ...rest } = options
      const runs = new Runs({
        ...rest,
        // A state is opaque to everything between the fold and the viewer.
        fold: fold as Fold<unknown, unknown> | undefined,
        // Typed by the two schemas, which have parsed what it is called with.
        handler: handler as unknown as (
          options: RunHandlerOptions<unknown, unknown>,
        ) => AsyncIterable<unknown, unknown>,
      })
      return procedures(options.procedure as unknown as Builder, options.input, runs) as unknown as Procedures
    },
  }
}

/**
 * tRPC's builder as it is used here. Its own type computes each step from the one before, which a generic function
 * cannot follow; RunProcedures states the outcome instead, and test/types holds it against what tRPC infers.
 */
interface Builder {
  input(schema: z.ZodType): {
    mutation(resolver: Resolver): unknown
    subscription(resolver: Resolver): unknown
    query(resolver: Resolver): unknown
  }
}
type Resolver = (options: {
  input: { id: string; input: unknown; lastEventId?: string }
  ctx: unknown
  signal: AbortSignal | undefined
}) => unknown

function procedures(procedure: Builder, input: z.ZodType, runs: Runs) {
  const id = z.string().min(1).max(200)
  return {
    start: procedure
      .input(z.object({ id: id.optional(), input }))
      .mutation(({ input: { id, input }, ctx }) => runs.start(id, input, ctx)),
    attach: procedure
      .input(resumable({ id }))
      .subscription(({ input: { id, lastEventId }, signal }) => runs.attach(id, lastEventId, signal)),
    stop: procedure.input(z.object({ id })).mutation(({ input: { id } }) => runs.stop(id)),
    status: procedure.input(z.object({ id })).query(({ input: { id } }) => runs.status(id)),
  }
}
