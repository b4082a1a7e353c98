/** A server that counts, once for each mutation, and the page with an outbox that talks to it. */
import { initTRPC } from '@trpc/server'
import { createSluice, idempotent, memoryStore } from 'trpc-sluice/server'
import { createFaultProxy } from 'trpc-sluice/testing'
import { z } from 'zod'
import { startPage } from './page-server.ts'

const t = initTRPC.create()

function createRouter(counted: string[]) {
  const add = t.procedure
    .input(z.object({ tab: z.string(), n: z.number() }))
    .use(idempotent({ store: memoryStore() }))
    .mutation(({ input: { tab, n } }) => {
      counted.push(`${tab} ${n}`)
      return n
    })
  return t.router({ add })
}

export type CounterRouter = ReturnType<typeof createRouter>

export async function startCounter() {
  /** What was counted, in order. */
  const counted: string[] = []
  const sluice = createSluice({ router: createRouter(counted), basePath: '/trpc', allowedOrigins: '*' })
  const page = await startPage(sluice, 'counter.ts')
  // The page itself comes from the server; its router is behind the proxy, which breaks.
  const proxy = await createFaultProxy({ target: page.url })
  return {
    counted,
    proxy,
    /** @param tab its name. */
    pageUrl: (tab: string) => `${page.url}/?tab=${tab}&router=${encodeURIComponent(proxy.url('/trpc'))}`,
    async [Symbol.asyncDispose]() {
      await proxy.close()
      await page[Symbol.asyncDispose]()
    },
  }
}
