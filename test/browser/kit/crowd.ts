/** A page with many subscriptions, and the server that it talks to. */
import { initTRPC } from '@trpc/server'
import { createSluice, createTopic, resumable } from 'trpc-sluice/server'
import { z } from 'zod'
import { startSecureServer } from '../../interop/support/secure-server.ts'
import { pageHandler, startPage } from './page-server.ts'

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
  const app = createApp()
  const handler = await pageHandler(app.sluice, 'crowd.ts')
  return { ...app, server: await startSecureServer(app.sluice, handler) }
}

/** Over HTTP/1.1. */
export async function startPlainCrowd() {
  const app = createApp()
  return { ...app, server: await startPage(app.sluice, 'crowd.ts') }
}

function createApp() {
  const topic = createNumbers()
  return { topic, sluice: createSluice({ router: createRouter(topic), basePath: '/trpc' }) }
}
