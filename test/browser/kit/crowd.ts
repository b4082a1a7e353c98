/** A page with many subscriptions, and the server that it talks to. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { initTRPC } from '@trpc/server'
import { createSluice, createTopic, resumable, type Sluice } from 'trpc-sluice/server'
import { z } from 'zod'
import { bundle, documentOf } from './bundle.ts'
import { startSecureServer } from '../../interop/support/secure-server.ts'

const t = initTRPC.create()

function createRouter(topic: ReturnType<typeof createNumbers>) {
  return t.router({
    hello: t.procedure.query(() => 'hello'),
    onNumber: t.procedure
      .input(resumable())
      .subscription(({ input, signal }) => topic.subscribe('k', { after: input.lastEventId, signal })),
  })
}

function createNumbers() {
  return createTopic({ name: 'numbers', event: z.object({ n: z.number() }) })
}

export type CrowdRouter = ReturnType<typeof createRouter>

/** Over HTTP/2, with TLS. */
export async function startCrowd() {
  const { handler, ...app } = await createApp()
  return { ...app, server: await startSecureServer(app.sluice, handler) }
}

/** Over HTTP/1.1. */
export async function startPlainCrowd() {
  const { handler, sluice, topic } = await createApp()
  const server = createServer(handler)
  server.on('upgrade', sluice.upgrade)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const plain = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      await sluice.close()
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
  return { sluice, topic, server: plain }
}

async function createApp() {
  const topic = createNumbers()
  const sluice = createSluice({ router: createRouter(topic), basePath: '/trpc' })
  const script = await bundle('crowd.ts')
  const handler: Sluice['node'] = (req, res) =>
    sluice.node(req, res, () => {
      const isScript = req.url === '/crowd.js'
      res.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
      // Both kinds of response have this overload, but TypeScript does not see it in their union.
      ;(res as { end(text: string): void }).end(isScript ? script : documentOf('/crowd.js'))
    })
  return { topic, sluice, handler }
}
