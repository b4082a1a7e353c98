/** A server that counts, once for each mutation, and the page with an outbox that talks to it. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { initTRPC } from '@trpc/server'
import { createSluice, idempotent, memoryStore } from 'trpc-sluice/server'
import { createFaultProxy } from 'trpc-sluice/testing'
import { z } from 'zod'
import { bundle, documentOf } from './bundle.ts'

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
  const script = await bundle('counter.ts')
  const server = createServer((req, res) =>
    sluice.node(req, res, () => {
      const isScript = req.url === '/counter.js'
      res.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
      res.end(isScript ? script : documentOf('/counter.js'))
    }),
  ).on('upgrade', sluice.upgrade)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // of TCP
  // The page itself comes from the server; its router is behind the proxy, which breaks.
  const proxy = await createFaultProxy({ target: { port } })
  return {
    counted,
    proxy,
    /** @param tab its name. */
    pageUrl: (tab: string) =>
      `http://127.0.0.1:${port}/?tab=${tab}&router=${encodeURIComponent(proxy.url('/trpc'))}`,
    async [Symbol.asyncDispose]() {
      await proxy.close()
      await sluice.close()
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
