/** A page with many subscriptions, and the server that it talks to. */
import { fileURLToPath } from 'node:url'
import { initTRPC } from '@trpc/server'
import { createSluice, createTopic, resumable } from 'trpc-sluice/server'
import { build } from 'vite'
import { z } from 'zod'
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

export async function startCrowd() {
  const topic = createNumbers()
  const sluice = createSluice({ router: createRouter(topic), basePath: '/trpc' })
  const script = await bundle('../pages/crowd.ts')
  const server = await startSecureServer(sluice, (req, res) =>
    sluice.node(req, res, () => {
      const isScript = req.url === '/crowd.js'
      res.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
      // Both kinds of response have this overload, but TypeScript does not see it in their union.
      ;(res as { end(text: string): void }).end(isScript ? script : page)
    }),
  )
  return { topic, sluice, server }
}

const page = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/crowd.js"></script>'

async function bundle(path: string): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { tsconfigPaths: true },
    build: {
      write: false,
      lib: { entry: fileURLToPath(new URL(path, import.meta.url)), formats: ['es'], fileName: 'page' },
    },
  })
  const [output] = Array.isArray(built) ? built : [built]
  const [chunk] = output && 'output' in output ? output.output : []
  if (!chunk) throw new Error(`Nothing was built of ${path}.`)
  return chunk.code
}
