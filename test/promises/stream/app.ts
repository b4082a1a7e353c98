/** What is served in these tests: rooms of numbers, and generators without cursors that tell when they began. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { initTRPC } from '@trpc/server'
import { createTopic, resumable, type Store } from 'trpc-sluice/server'
import { z } from 'zod'

export function createApp(store: Store) {
  const t = initTRPC.create()
  const rooms = createTopic({ name: 'rooms', event: z.object({ n: z.number() }), store })
  const router = t.router({
    hello: t.procedure.query(() => 'hello'),
    onRoom: t.procedure
      .input(resumable({ room: z.string() }))
      .subscription(({ input, signal }) =>
        rooms.subscribe(input.room, { after: input.lastEventId, from: 'start', signal }),
      ),
    /** Counts from 1, without ids, under a name of its own for each time that it begins. */
    onTick: t.procedure.input(z.object({ upTo: z.number() })).subscription(async function* ({
      input,
      signal,
    }) {
      const life = randomUUID()
      for (let n = 1; n <= input.upTo; n++) {
        yield { life, n }
        await sleep(5, undefined, { signal })
      }
    }),
  })
  return { rooms, router }
}

export type App = ReturnType<typeof createApp>
export type AppRouter = App['router']
