/** A place to try things: `npm run play` runs this file again whenever it, or Sluice, changes. */
import { initTRPC } from '@trpc/server'
import { createTopic } from 'trpc-sluice/server'
import { resumable } from 'trpc-sluice/shared'
import { createHarness } from 'trpc-sluice/testing'
import { z } from 'zod'

const t = initTRPC.create()
const ticks = createTopic({ name: 'ticks', event: z.object({ n: z.number() }) })

const router = t.router({
  onTick: t.procedure
    .input(resumable({ key: z.string() }))
    .subscription(({ input, signal }) => ticks.subscribe(input.key, { after: input.lastEventId, signal })),
})

await using app = await createHarness({ router })
const seen = app.record(client => client.onTick, { key: 'a' })
await seen.started // without a cursor, it begins with what comes from now on
for (let n = 1; n <= 3; n++) await ticks.publish('a', { n })
await seen.until(3)
await app.proxy.cut()
await ticks.publish('a', { n: 4 })
await seen.until(4)
console.log(seen.items, seen.report())
