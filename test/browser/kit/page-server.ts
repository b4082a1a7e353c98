/** A page of test/browser/pages on a server of its own, with the router that it talks to at `/trpc`. */
import { createServer, type IncomingMessage } from 'node:http'
import type { Sluice } from 'trpc-sluice/server'
import { listen, type Listening } from '../../support/listen.ts'
import { bundle, documentOf } from './bundle.ts'

/** @param file of test/browser/pages. */
export async function pageHandler(sluice: Sluice, file: string): Promise<Sluice['node']> {
  const answer = await pageAnswer(file)
  return (req, res) => sluice.node(req, res, () => answer(req, res))
}

/** Over HTTP/1.1; ends with all of its connections. */
export async function startPage(sluice: Sluice, file: string): Promise<Listening> {
  const server = createServer(await pageHandler(sluice, file)).on('upgrade', sluice.upgrade)
  const listening = await listen(server)
  return {
    ...listening,
    async [Symbol.asyncDispose]() {
      await sluice.close()
      await listening[Symbol.asyncDispose]()
    },
  }
}

/** The page alone: the router that it talks to is elsewhere. */
export async function startLonePage(file: string): Promise<Listening> {
  return listen(createServer(await pageAnswer(file)))
}

async function pageAnswer(file: string) {
  const script = await bundle(file)
  return (req: Pick<IncomingMessage, 'url'>, res: Parameters<Sluice['node']>[1]) => {
    const isScript = req.url === '/page.js'
    res.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
    // Both kinds of response have this overload, but TypeScript does not see it in their union.
    ;(res as { end(text: string): void }).end(isScript ? script : documentOf('/page.js'))
  }
}
