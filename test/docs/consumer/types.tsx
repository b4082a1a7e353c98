/** What a user's project looks like to the compiler: every subpath, and inference without a type argument. */
import { createTRPCClient } from '@trpc/client'
import { initTRPC } from '@trpc/server'
import { iterate, sluiceLink } from 'trpc-sluice/client'
import { msgpackCodec } from 'trpc-sluice/codecs/msgpack'
import { protobufCodec } from 'trpc-sluice/codecs/protobuf'
import { observeWithOpenTelemetry } from 'trpc-sluice/otel'
import { createOutbox, indexedDbOutboxStorage } from 'trpc-sluice/outbox'
import { SluiceProvider, useConnection, useStream } from 'trpc-sluice/react'
import { createSluice, createTopic, memoryStore, serve } from 'trpc-sluice/server'
import { isGap, isSluiceError, resumable, streamOf, withSignal } from 'trpc-sluice/shared'
import { lmdbStore } from 'trpc-sluice/stores/lmdb'
import { oncePerBrowser, shareTabs, type Turn } from 'trpc-sluice/tabs'
import { createFakeClock, createFaultProxy, createHarness, createRecorder } from 'trpc-sluice/testing'
import { z } from 'zod'

const t = initTRPC.create()
const Tick = z.object({ n: z.number() })
const ticks = createTopic({ name: 'ticks', event: Tick, store: memoryStore() })

export const router = t.router({
  onTick: t.procedure
    .input(resumable({ key: z.string() }))
    .subscription(({ input, signal }) => ticks.subscribe(input.key, { after: input.lastEventId, signal })),
  count: t.procedure.output(streamOf(Tick)).subscription(async function* ({ signal }) {
    for await (const { data } of [] as { data: { n: number } }[]) yield data
    signal?.throwIfAborted()
  }),
})

export const binary = createSluice({ router, codecs: [msgpackCodec(), protobufCodec({ schemas: {} })] })
const outbox = createOutbox({ storage: indexedDbOutboxStorage() })
const tabs = shareTabs({ identity: () => 'ann' })
const url = 'http://localhost:3000'
const link = sluiceLink<typeof router>({ url, codec: msgpackCodec(), outbox, tabs, WebSocket })
const client = createTRPCClient<typeof router>({ links: [link] })

export async function read(signal: AbortSignal): Promise<number> {
  for await (const { id, data } of iterate(client.onTick, { key: 'a' }, { signal })) {
    if (isGap(data)) continue
    return id.length + data.n
  }
  return 0
}

export function notify(show: (n: number) => void): Promise<void> {
  return oncePerBrowser('ticks', async ({ signal, place }: Turn) => {
    const input = { key: 'a', lastEventId: place.get() }
    for await (const { id, data } of iterate(client.onTick, input, { signal })) {
      if (!isGap(data)) show(data.n)
      place.set(id)
    }
  })
}

export function Ticks() {
  const { events, status } = useStream(client.onTick, { key: 'a' })
  const latest: number | undefined = events.at(-1)?.data.n
  const connection = useConnection()
  return (
    <SluiceProvider link={link}>
      {status} {connection.state} {latest}
    </SluiceProvider>
  )
}

export async function test(path: string): Promise<void> {
  await using app = await createHarness({ router })
  const seen = app.record(client => client.onTick, { key: 'a' })
  const [first] = seen.items
  const n: number | undefined = first?.data.n
  await using proxy = await createFaultProxy({ target: app.url })
  createRecorder<number>().push(n ?? proxy.port)
  await createFakeClock().advance(1)
  const store = lmdbStore({ path })
  createTopic({ name: 'durable', event: Tick, store })
  const sluice = createSluice({ router })
  observeWithOpenTelemetry(sluice).stop()
  const served = await serve({ router, port: 0 })
  if (isSluiceError(seen.error)) await sluice.drain({ withinMs: 10 })
  await served.close()
  withSignal((async function* () {})(), undefined)
}
