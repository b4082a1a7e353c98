/** A router with one procedure for each thing that a wire can be asked to carry. */
import { initTRPC, lazy, tracked, TRPCError } from '@trpc/server'
import type { TRPCDataTransformer, TRPCRuntimeConfigOptions } from '@trpc/server'
import { observable } from '@trpc/server/observable'
import superjson from 'superjson'
import { z } from 'zod'

export interface Context {
  readonly user?: string
}

export interface AppConfig extends Pick<TRPCRuntimeConfigOptions<Context, object>, 'sse' | 'isDev'> {
  readonly superjson?: boolean
  readonly formatErrors?: boolean
}

/** Settles when the signal is aborted. */
function aborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise(resolve => signal?.addEventListener('abort', () => resolve(), { once: true }))
}

export function createApp(config: AppConfig = {}) {
  const { superjson: useSuperjson = false, formatErrors = false, ...rest } = config
  // Typed as one kind, so that the router has one type: what it does at run time is what is tested.
  const transformer: TRPCDataTransformer | undefined = useSuperjson ? superjson : undefined
  const t = initTRPC.context<Context>().create({
    isDev: false, // stacks differ by where they were made
    ...rest,
    ...(transformer && { transformer }),
    ...(formatErrors && {
      errorFormatter: ({ shape, path, ctx, input }) => ({
        ...shape,
        data: { ...shape.data, formatted: { path, user: ctx?.user ?? null, input: input ?? null } },
      }),
    }),
  })
  const { procedure } = t
  const Cursor = z.object({ n: z.number(), lastEventId: z.string().optional() })

  return t.router({
    query: procedure.input(z.object({ name: z.string() })).query(({ input }) => ({ hello: input.name })),
    mutation: procedure.input(z.unknown()).mutation(({ input }) => ({ got: input })),
    nothing: procedure.query(() => undefined),
    date: procedure.query(() => ({ at: new Date(0), missing: undefined, set: new Set([1]) })),
    whoAmI: procedure.query(({ ctx }) => ctx.user ?? 'nobody'),
    conflict: procedure.query(() => {
      throw new TRPCError({ code: 'CONFLICT', message: 'taken' })
    }),
    bug: procedure.query(() => {
      throw new TypeError('x is not a function')
    }),
    throwsText: procedure.query(() => {
      throw 'text'
    }),
    bigint: procedure.query(() => ({ big: 1n })),
    stream: procedure.query(async function* () {
      yield 1
      yield 2
    }),
    deep: t.router({ ticks: procedure.subscription(count(2)) }),
    late: lazy(async () =>
      t.router({ hello: procedure.query(() => 'late'), ticks: procedure.subscription(count(2)) }),
    ),
    broken: lazy(async () => {
      if (Date.now() > 0) throw new Error('cannot load')
      return t.router({})
    }),

    ticks: procedure.input(Cursor).subscription(async function* ({ input }) {
      for (let i = Number(input.lastEventId ?? 0) + 1; i <= input.n; i++) yield tracked(String(i), { i })
    }),
    plain: procedure.subscription(async function* () {
      yield 'one'
      yield { two: 2, at: new Date(0) }
      yield null
      yield undefined
      yield [3, '\u2028 \n "quoted"']
    }),
    echoInput: procedure.input(z.unknown()).subscription(async function* ({ input, ctx }) {
      yield { input, user: ctx.user ?? null }
    }),
    untilStopped: procedure.subscription(async function* ({ signal }) {
      yield 'ready'
      await aborted(signal)
    }),
    fails: procedure.subscription(async function* () {
      yield 1
      throw new TRPCError({ code: 'FORBIDDEN', message: 'no more' })
    }),
    failsPlainly: procedure.subscription(async function* () {
      yield 1
      throw new Error('a bug')
    }),
    failsAtFirst: procedure.subscription(async function* () {
      if (Date.now() > 0) throw new TRPCError({ code: 'UNAUTHORIZED' })
      yield 1
    }),
    abortError: procedure.subscription(async function* () {
      yield 1
      throw new DOMException('gave up', 'AbortError')
    }),
    failsInSetUp: procedure.subscription(async () => {
      if (Date.now() > 0) throw new TRPCError({ code: 'BAD_REQUEST', message: 'not now' })
      return count(1)()
    }),
    notIterable: procedure.subscription((() => ({
      not: 'iterable',
    })) as unknown as () => AsyncGenerator<never>),
    bigints: procedure.subscription(async function* () {
      yield 1
      yield { big: 2n }
      yield 3
    }),
    observed: procedure.subscription(() =>
      observable<unknown>(emit => {
        emit.next(1)
        emit.next(tracked('id-2', 2))
        emit.complete()
      }),
    ),
    observedOpen: procedure.subscription(() =>
      observable<unknown>(emit => {
        emit.next(1)
        return () => {}
      }),
    ),
    observedFails: procedure.subscription(() =>
      observable<unknown>(emit => {
        emit.next(1)
        emit.error(new TRPCError({ code: 'TIMEOUT', message: 'too late' }))
      }),
    ),
    quiet: procedure.subscription(async function* ({ signal }) {
      await aborted(signal)
      yield* []
    }),
  })
}

function count(to: number) {
  return async function* () {
    for (let i = 1; i <= to; i++) yield i
  }
}
