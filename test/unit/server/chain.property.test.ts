/** What Sluice does in tRPC's place when it calls a procedure, beside what tRPC does. */
import * as pinned from '@trpc/server'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { callProcedure, type ProcedureCall } from '../../../server/procedures/call.ts'
import { chainOf } from '../../../server/procedures/chain.ts'

const file = new URL('../../interop/newest/node_modules/@trpc/server/dist/index.mjs', import.meta.url)
const newest = (await import(/* @vite-ignore */ file.href)) as typeof pinned

interface Options {
  readonly [name: string]: unknown
  getRawInput(): Promise<unknown>
  next(said?: object): Promise<{ readonly ok: boolean }>
}
type Middleware = (options: Options) => unknown

const throwing = {
  'an error': () => {
    throw new Error('failed')
  },
  "tRPC's error": () => {
    throw new pinned.TRPCError({ code: 'CONFLICT', message: 'taken', cause: new Error('inner') })
  },
  'a text': () => {
    throw 'a text'
  },
  nothing: () => {
    throw undefined
  },
}

const saying =
  (said?: object): Middleware =>
  ({ next }) =>
    next(said)

const middlewares: Readonly<Record<string, Middleware>> = {
  'passes on': saying(),
  'says nothing': saying({}),
  'adds to the context': saying({ ctx: { user: 'Ann' } }),
  'adds more': saying({ ctx: { user: 'Bob', role: 'admin' } }),
  'says no context': saying({ ctx: undefined }),
  'gives an input': saying({ input: { n: 2, given: true } }),
  'takes the input away': saying({ input: undefined }),
  'gives another raw input': saying({ getRawInput: () => Promise.resolve({ n: 3 }) }),
  'gives a raw input that fails': saying({ getRawInput: () => Promise.reject(new Error('unreadable')) }),
  'says what is not heard': saying({ path: 'other', signal: null, type: 'query' }),
  'waits first': async ({ next }) => {
    await Promise.resolve()
    return next()
  },
  'calls the rest twice': async ({ next }) => {
    await next({ ctx: { first: true } })
    return next()
  },
  'forgets to return': () => undefined,
  'returns at once': () => ({ ok: true, data: 'early' }),
  'makes good what failed': async ({ next }) => {
    const result = await next()
    return result.ok ? result : { ok: true, data: 'made good' }
  },
  'changes the result': async ({ next }) => ({ ...(await next()), data: 'changed' }),
  'fails afterwards': async ({ next }) => {
    await next()
    throw new Error('failed afterwards')
  },
  ...Object.fromEntries(Object.entries(throwing).map(([what, fail]) => [`throws ${what}`, fail])),
}

const parsers: Readonly<Record<string, z.ZodType>> = {
  'a number n': z.object({ n: z.number() }),
  'more, with a default': z.object({ more: z.string().default('more') }),
  'a number': z.number(),
  anything: z.unknown(),
}

const resolvers: Readonly<Record<string, Middleware>> = {
  'returns its input': ({ input }) => input,
  'returns its context': ({ ctx }) => ctx,
  'returns nothing': () => undefined,
  'reads the raw input': ({ getRawInput }) => getRawInput(),
  'calls the rest': ({ next }) => next().then(({ ok }) => ok),
  ...throwing,
}

const rawInputs = [undefined, null, 7, { n: 1 }, { n: 'no' }, { more: 'x' }, [1]]

const anyParser = fc.constantFrom(...Object.keys(parsers))

/** A procedure by the names of its parts. */
const plans = fc.record({
  parts: fc
    .array(
      fc.oneof(
        fc.record({ does: fc.constant('use'), what: fc.constantFrom(...Object.keys(middlewares)) }),
        fc.record({ does: fc.constant('input'), what: anyParser }),
        fc.record({ does: fc.constant('output'), what: anyParser }),
      ),
      { maxLength: 6 },
    )
    // tRPC takes one.
    .filter(parts => parts.filter(({ does }) => does === 'output').length <= 1),
  resolver: fc.constantFrom(...Object.keys(resolvers)),
  rawInput: fc.constantFrom(...rawInputs),
  ctx: fc.constantFrom<unknown>(undefined, {}, { user: 'Zoe' }),
})
type Plan = typeof plans extends fc.Arbitrary<infer T> ? T : never

/** tRPC's has another type after each part; here any may follow any. */
interface Builder {
  meta(meta: object): Builder
  use(middleware: Middleware): Builder
  input(parser: unknown): Builder
  output(parser: unknown): Builder
  subscription(resolver: Middleware): pinned.AnyTRPCSubscriptionProcedure
}

/** The router, and what each part of its procedure has been given so far. */
function build({ initTRPC }: typeof pinned, { parts, resolver }: Plan) {
  const seen: unknown[] = []
  const look =
    (middleware: Middleware | undefined): Middleware =>
    options => {
      const { next, getRawInput, ...rest } = options
      seen.push({ ...rest, getRawInput: typeof getRawInput })
      const heard = async (said?: object) => {
        const result = await next(said)
        seen.push(result)
        return result
      }
      return middleware?.({ ...options, next: heard })
    }
  let builder = (initTRPC.create().procedure as unknown as Builder).meta({ about: 'calls' })
  for (const { does, what } of parts) {
    builder = does === 'use' ? builder.use(look(middlewares[what])) : builder[does](parsers[what])
  }
  const router = initTRPC.create().router({ built: builder.subscription(look(resolvers[resolver])) })
  return { router, seen }
}

const callOf = (more: Pick<ProcedureCall, 'type'> & Partial<ProcedureCall>): ProcedureCall => ({
  path: 'built',
  ctx: {},
  signal: new AbortController().signal,
  batchIndex: 2,
  getRawInput: () => Promise.resolve(undefined),
  ...more,
})

async function outcome(run: () => Promise<unknown>): Promise<unknown> {
  try {
    return { data: await run() }
  } catch (thrown) {
    if (!(thrown instanceof Error)) return { thrown }
    const { name, code, message, cause } = thrown as pinned.TRPCError
    return { name, code, message, cause: String(cause) }
  }
}

describe.each([
  ['the pinned', pinned],
  ['the newest', newest],
] as const)('with %s @trpc/server', (_, version) => {
  test('each part of a procedure sees the same, and the same comes out, as where tRPC calls it', async () => {
    await fc.assert(
      fc.asyncProperty(plans, async plan => {
        const { ctx, rawInput } = plan
        const call = callOf({ type: 'subscription', ctx, getRawInput: () => Promise.resolve(rawInput) })
        const theirs = build(version, plan)
        const ours = build(version, plan)
        expect(chainOf(ours.router.built)).not.toBeNull()
        const expected = await outcome(() => theirs.router.built(call as never))
        expect(await outcome(() => callProcedure(ours.router, call))).toEqual(expected)
        expect(ours.seen).toEqual(theirs.seen)
      }),
      { numRuns: 2_000 },
    )
  })

  test('a procedure that an application has put something around is called as it is', async () => {
    const t = version.initTRPC.create()
    const open = t.procedure.query(() => 'open')
    const closed = Object.assign(() => Promise.reject(new Error('Not for you.')), open)
    const router = t.router({ built: closed as typeof open })
    await expect(callProcedure(router, callOf({ type: 'query' }))).rejects.toThrow('Not for you.')
  })

  test('so is one that an application calls in its own way', async () => {
    const t = version.initTRPC.create()
    const own = t.procedure.experimental_caller(async ({ args, invoke }) => [await invoke(args[0] as never)])
    const router = t.router({ built: own.query(() => 'open') as never })
    expect(await callProcedure(router, callOf({ type: 'query' }))).toEqual(['open'])
  })
})
