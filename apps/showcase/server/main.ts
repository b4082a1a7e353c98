/** The showcase: a page, and a tRPC router behind it, on one port, with all its data in one folder. */
import sirv from 'sirv'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createSluice } from 'trpc-sluice/server'
import { Scope } from 'trpc-sluice/shared'
import { lmdbStore } from 'trpc-sluice/stores/lmdb'
import { listen } from './listen.ts'
import { openModel } from './model.ts'
import { createAppRouter } from './router.ts'
import { readSettings } from './settings.ts'

const drainMs = 3000

async function main(): Promise<void> {
  await using scope = new Scope()
  const settings = readSettings(process.env)
  await mkdir(settings.dataDir, { recursive: true })
  const store = lmdbStore({ path: settings.dataDir })
  scope.defer(() => store.close())
  const model = scope.use(await openModel(settings.endpoint))

  const sluice = createSluice({ router: createAppRouter(store, model), basePath: '/trpc' })
  scope.defer(() => sluice.close())
  const page = servePage(settings.webRoot)
  const server = createServer((request, response) => {
    if (isApi(request.url)) sluice.node(request, response)
    else page(request, response)
  })
  server.on('upgrade', sluice.upgrade)
  const port = await listen(server, settings)
  scope.defer(() => {
    server.close()
    server.closeAllConnections()
  })

  console.log(`Sluice showcase: http://${nameOf(settings.host)}:${port}`)
  console.log(`Data:            ${settings.dataDir}`)
  console.log(`Model:           ${model.about}`)

  await stopSignal()
  console.log('Stopping: telling the pages to come back, then closing.')
  await sluice.drain({ withinMs: drainMs })
}

function isApi(url = '/'): boolean {
  return /^\/trpc(?:[/?]|$)/.test(url)
}

type Handler = ReturnType<typeof sirv>

function servePage(root: string): Handler {
  if (!existsSync(root)) {
    return (_request, response) => {
      response.writeHead(503, { 'Content-Type': 'text/plain; charset=utf-8' })
      response.end('The page is not built yet. Run `npm start`, which builds it, or `npm run dev`.')
    }
  }
  // Names under assets/ carry a hash of their content: they never change, everything else may.
  return sirv(root, {
    single: true,
    etag: true,
    setHeaders: (response, path) => {
      const immutable = path.startsWith('/assets/')
      response.setHeader('Cache-Control', immutable ? 'public, max-age=31536000, immutable' : 'no-cache')
    },
  })
}

/** Resolves at the first SIGINT or SIGTERM. A second one does what it always does: it ends the process. */
function stopSignal(): Promise<void> {
  return new Promise(resolve => {
    const stop = () => {
      process.off('SIGINT', stop)
      process.off('SIGTERM', stop)
      resolve()
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
  })
}

function nameOf(host: string): string {
  if (host === '127.0.0.1' || host === '0.0.0.0' || host === '::') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}

try {
  await main()
} catch (failure) {
  console.error(failure instanceof Error ? failure.message : failure)
  process.exitCode = 1
}
