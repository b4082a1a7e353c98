// What a user's first program does, on the packed package in Node: each subpath loads, and an event arrives.
import { initTRPC } from '@trpc/server'
import { iterate, sluiceLink } from 'trpc-sluice/client'
import { msgpackCodec } from 'trpc-sluice/codecs/msgpack'
import { protobufCodec } from 'trpc-sluice/codecs/protobuf'
import { observeWithOpenTelemetry } from 'trpc-sluice/otel'
import { createOutbox } from 'trpc-sluice/outbox'
import * as react from 'trpc-sluice/react'
import { createTopic } from 'trpc-sluice/server'
import { resumable } from 'trpc-sluice/shared'
import { lmdbStore } from 'trpc-sluice/stores/lmdb'
import { shareTabs } from 'trpc-sluice/tabs'
import { createHarness } from 'trpc-sluice/testing'
import { z } from 'zod'

for (const value of [protobufCodec, observeWithOpenTelemetry, react.useStream, sluiceLink, iterate]) {
  if (typeof value !== 'function') throw new Error('An export is missing.')
}

const store = lmdbStore({ path: process.argv[2] })
const ticks = createTopic({ name: 'ticks', event: z.object({ n: z.number() }), store })
const t = initTRPC.create()
const router = t.router({
  onTick: t.procedure
    .input(resumable({ key: z.string() }))
    .subscription(({ input, signal }) => ticks.subscribe(input.key, { after: input.lastEventId, signal })),
})

const app = await createHarness({
  router,
  sluice: { codecs: [msgpackCodec()] },
  // Of tabs there are none in Node.
  link: { codec: msgpackCodec(), outbox: createOutbox(), tabs: shareTabs({ identity: 'ann' }) },
})
const seen = app.record(client => client.onTick, { key: 'a' })
await seen.started
await ticks.publish('a', { n: 1 })
await seen.until(1)
await app.close()
await store.close()
console.log(JSON.stringify(seen.report(1)))
