/** What the client infers, and what must not compile. Checked by tsc; never run. */
import { createTRPCClient } from '@trpc/client'
import { initTRPC, tracked } from '@trpc/server'
import superjson from 'superjson'
import { iterate, sluiceLink } from 'trpc-sluice/client'
import { skipToken, SluiceProvider, useStream } from 'trpc-sluice/react'
import { byteStream } from 'trpc-sluice/server'
import { fromReadableStream, toReadableStream } from 'trpc-sluice/shared'
import type { Gap, RunEnd, Snapshot } from 'trpc-sluice/shared'
import { expectTypeOf } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'

interface Message {
  readonly text: string
  readonly at: Date
}
interface Answer {
  readonly tokens: number
}

const t = initTRPC.create({ transformer: superjson })
const router = t.router({
  onRoom: t.procedure.input(z.object({ room: z.string() })).subscription(async function* () {
    const item = {} as Message | Gap | Snapshot<readonly string[]> | RunEnd<Answer>
    yield tracked('1', item)
  }),
  onTick: t.procedure.subscription(async function* () {
    yield 5
  }),
  echo: t.procedure.query(() => 1),
  upload: t.procedure.input(byteStream()).mutation(({ input }) => fromReadableStream(input).next()),
  onChunk: t.procedure.subscription(() => new ReadableStream<{ at: Date }>()),
})
type AppRouter = typeof router
const plainRouter = initTRPC.create().router({})

const link = sluiceLink<AppRouter>({ url: '/trpc', transformer: superjson, WebSocket, fetch })
const client = createTRPCClient<AppRouter>({ links: [link] })
void createTRPCClient<AppRouter>({ links: [sluiceLink({ url: () => '/trpc', transformer: superjson })] })

// @ts-expect-error -- the router has a transformer
sluiceLink<AppRouter>({ url: '/trpc' })
// @ts-expect-error -- the router has none
sluiceLink<typeof plainRouter>({ url: '/trpc', transformer: superjson })
// @ts-expect-error -- an option that there is not
sluiceLink<typeof plainRouter>({ url: '/trpc', heartBeatMs: 5 })
sluiceLink<typeof plainRouter>({ url: '/trpc' })

type Item = Message | Gap | Snapshot<readonly string[]> | RunEnd<Answer>
expectTypeOf(iterate(client.onTick, undefined).next()).resolves.toEqualTypeOf<
  IteratorResult<number, undefined>
>()
expectTypeOf(iterate(client.onRoom, { room: 'a' }).next()).resolves.toEqualTypeOf<
  IteratorResult<{ id: string; data: Item }, undefined>
>()
// @ts-expect-error -- not the input of this procedure
iterate(client.onRoom, { room: 5 })
// @ts-expect-error -- a query is no subscription
iterate(client.echo, undefined)

expectTypeOf(toReadableStream(iterate(client.onTick, undefined))).toEqualTypeOf<ReadableStream<number>>()
expectTypeOf(iterate(client.onChunk, undefined).next()).resolves.toEqualTypeOf<
  IteratorResult<{ at: Date }, undefined>
>()
void client.upload.mutate(new ReadableStream<Uint8Array<ArrayBuffer>>())
void client.upload.mutate(new Blob(['']))
// @ts-expect-error -- not bytes
void client.upload.mutate('text')

const messages = {
  initial: [] as readonly string[],
  step: (all: readonly string[], one: Message) => [...all, one.text],
}
const prices = { initial: 0, step: (all: number, one: { price: number }) => all + one.price }

export function Component({ room }: { readonly room: string | undefined }) {
  const folded = useStream(client.onRoom, { room: 'a' }, { fold: messages })
  expectTypeOf(folded.state).toEqualTypeOf<readonly string[]>()
  expectTypeOf(folded.gap).toEqualTypeOf<Gap | null>()
  expectTypeOf(folded.end).toEqualTypeOf<RunEnd<Answer>['outcome'] | null>()

  const kept = useStream(client.onRoom, room === undefined ? skipToken : { room }, { maxEvents: 5 })
  type Kept = (typeof kept.events)[number]['data']
  expectTypeOf<Exclude<Kept, Snapshot<readonly string[]>>>().toEqualTypeOf<Message>()
  expectTypeOf(useStream(client.onTick, undefined).events).toEqualTypeOf<readonly number[]>()

  // @ts-expect-error -- not the input of this procedure
  useStream(client.onRoom, { room: 5 })
  // @ts-expect-error -- a fold of other events
  useStream(client.onRoom, { room: 'a' }, { fold: prices })
  // @ts-expect-error -- no state without a fold
  void kept.state
  return <SluiceProvider link={link} />
}
