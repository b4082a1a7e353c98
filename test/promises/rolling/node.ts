/** One server of several on one folder, for rolling.test.ts to start: serves a log, and drains on SIGTERM. */
import { initTRPC } from '@trpc/server'
import { lmdbStore } from '../../../server/stores/lmdb/index.ts'
import { createTopic, resumable, serve } from '../../../server/index.ts'
import { z } from 'zod'

const [path = ''] = process.argv.slice(2)
const store = lmdbStore({ path })
const log = createTopic({ name: 'log', event: z.object({ n: z.number() }), store })

const t = initTRPC.create()
const router = t.router({
  onLog: t.procedure
    .input(resumable())
    .subscription(({ input, signal }) =>
      log.subscribe('all', { after: input.lastEventId, from: 'start', signal }),
    ),
})
export type Router = typeof router

const limits = { maxConnectionsPerAddress: 10_000 }
const served = await serve({ router, port: 0, host: '127.0.0.1', limits })
process.once('SIGTERM', () => {
  void served
    .close({ withinMs: 10_000 })
    .then(() => store.close())
    .then(() => process.exit(0))
})
console.log(served.port)
