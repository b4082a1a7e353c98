/** What is inferred from a schema, and what must not compile. Checked by `tsc`, never run. */
import { initTRPC } from '@trpc/server'
import type { inferRouterInputs, inferRouterOutputs } from '@trpc/server'
import type { Gap, RunEnd, Snapshot } from 'trpc-sluice/shared'
import { resumable } from 'trpc-sluice/shared'
import { createRun, createTopic } from 'trpc-sluice/server'
import superjson from 'superjson'
import { expectTypeOf } from 'vitest'
import { z } from 'zod'

const t = initTRPC.context<{ user: string }>().create({ transformer: superjson })
const Message = z.object({ text: z.string(), at: z.date().default(() => new Date()) })
type Message = { text: string; at: Date }

const plain = createTopic({ name: 'plain', event: Message })
const latest = createTopic({ name: 'latest', event: Message, onGap: 'latest' })
const folded = createTopic({
  name: 'folded',
  event: Message,
  fold: { initial: 0, step: (count: number, event: Message) => count + event.text.length },
})

const answer = createRun({
  name: 'answer',
  procedure: t.procedure.use(({ next }) => next({ ctx: { admin: true as const } })),
  input: z.object({ prompt: z.string() }),
  event: z.string(),
  result: z.object({ tokens: z.number() }),
}).handler(async function* ({ input, ctx, signal, run }) {
  expectTypeOf(input).toEqualTypeOf<{ prompt: string }>()
  expectTypeOf(ctx.user).toEqualTypeOf<string>()
  expectTypeOf(ctx.admin).toEqualTypeOf<true>()
  expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
  expectTypeOf(run.id).toEqualTypeOf<string>()
  yield 'token'
  return { tokens: 1 }
})

const router = t.router({
  answer,
  plain: t.procedure
    .input(resumable({ room: z.string() }))
    .subscription(({ input, signal }) => plain.subscribe(input.room, { after: input.lastEventId, signal })),
  latest: t.procedure.subscription(() => latest.subscribe('k')),
  folded: t.procedure.subscription(() => folded.subscribe('k')),
  delegated: t.procedure.subscription(async function* () {
    yield* plain.subscribe('k')
  }),
})

type Inputs = inferRouterInputs<typeof router>
type Outputs = inferRouterOutputs<typeof router>
type ItemOf<Stream> = Stream extends AsyncIterable<infer Item> ? Item : never

expectTypeOf<Inputs['plain']>().toEqualTypeOf<{ room: string; lastEventId?: string | undefined }>()
expectTypeOf<ItemOf<Outputs['plain']>['data']>().toEqualTypeOf<Message>()
expectTypeOf<ItemOf<Outputs['latest']>['data']>().toEqualTypeOf<Message | Gap>()
expectTypeOf<ItemOf<Outputs['folded']>['data']>().toEqualTypeOf<Message | Snapshot<number>>()
expectTypeOf<ItemOf<Outputs['delegated']>['data']>().toEqualTypeOf<Message>()

expectTypeOf<Inputs['answer']['start']>().toEqualTypeOf<{
  id?: string | undefined
  input: { prompt: string }
}>()
expectTypeOf<ItemOf<Outputs['answer']['attach']>['data']>().toEqualTypeOf<
  string | RunEnd<{ tokens: number }>
>()
expectTypeOf<Outputs['answer']['status']['status']>().toEqualTypeOf<
  'running' | 'done' | 'failed' | 'stopped' | 'interrupted'
>()

// A default of the schema may be left out, what the schema wants may not.
plain.publish('k', { text: 'hi' })
// @ts-expect-error a member is missing
plain.publish('k', {})
const wrongFold = { initial: 0, step: (count: number, event: { n: number }) => count + event.n }
// @ts-expect-error the fold is of another event
createTopic({ name: 'x', event: Message, fold: wrongFold })
// @ts-expect-error no such policy
createTopic({ name: 'x', event: Message, onGap: 'ignore' })
createRun({ name: 'x', procedure: t.procedure, input: z.string(), event: z.string() })
  // @ts-expect-error yields what the schema does not say
  .handler(async function* () {
    yield 1
  })

const dropping = plain.subscribe('k', { whenSlow: { policy: 'drop-oldest', maxLag: 10 } })
expectTypeOf<ItemOf<typeof dropping>[1]>().toEqualTypeOf<Message | Gap>()
const conflating = plain.subscribe('k', { whenSlow: { policy: 'conflate', by: message => message.text } })
expectTypeOf<ItemOf<typeof conflating>[1]>().toEqualTypeOf<Message>()
