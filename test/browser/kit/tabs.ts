/** A page whose tabs share a connection, and the server that it talks to. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { initTRPC } from '@trpc/server'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { createSluice, createTopic, resumable } from 'trpc-sluice/server'
import { eventually } from 'trpc-sluice/testing'
import superjson from 'superjson'
import { z } from 'zod'
import type { Tab } from '../pages/tabs.ts'
import { bundle, documentOf } from './bundle.ts'

declare const tab: Tab // of the page, in which functions are evaluated

const t = initTRPC.context<{ user: string }>().create({ transformer: superjson })

function createNumbers() {
  return createTopic({ name: 'numbers', event: z.object({ n: z.number(), at: z.date() }) })
}

function createRouter(topic: ReturnType<typeof createNumbers>) {
  return t.router({
    whoami: t.procedure.query(({ ctx }) => ctx.user),
    fail: t.procedure.mutation(() => {
      throw new Error('No')
    }),
    onNumber: t.procedure
      .input(resumable())
      .subscription(({ input, signal }) => topic.subscribe('k', { after: input.lastEventId, signal })),
  })
}

export type TabsRouter = ReturnType<typeof createRouter>

export async function startTabsServer() {
  const topic = createNumbers()
  const sluice = createSluice({
    router: createRouter(topic),
    basePath: '/trpc',
    createContext: ({ info }) => ({ user: info.connectionParams?.['user'] ?? 'nobody' }),
  })
  const script = await bundle('tabs.ts')
  const server = createServer((req, res) =>
    sluice.node(req, res, () => {
      const isScript = req.url === '/tabs.js'
      res.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
      res.end(isScript ? script : documentOf('/tabs.js'))
    }),
  ).on('upgrade', sluice.upgrade)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // of TCP
  return {
    topic,
    sluice,
    /** Publishes the numbers from one to another, with a moment between them. */
    async publish(from: number, to: number) {
      for (let n = from; n <= to; n++) {
        await topic.publish('k', { n, at: new Date(n) })
        await new Promise(setImmediate)
      }
    },
    pageUrl: (params: Readonly<Record<string, string>> = {}) =>
      `http://127.0.0.1:${port}/?${new URLSearchParams(params)}`,
    async [Symbol.asyncDispose]() {
      await sluice.close()
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Tabs of one browser profile; which of them has the connection. */
export class Tabs {
  readonly context: BrowserContext
  readonly #url: string
  pages: Page[] = []
  /** What is to run in one tab was seen to run in two. */
  ranTwice = false

  constructor(context: BrowserContext, url: string) {
    this.context = context
    this.#url = url
  }

  static async open(browser: Browser, url: string, count: number): Promise<Tabs> {
    const tabs = new Tabs(await browser.newContext(), url)
    await Promise.all(Array.from({ length: count }, () => tabs.add()))
    return tabs
  }

  /** Opens one more, and waits until its subscription has started. */
  async add(url = this.#url): Promise<Page> {
    const page = await this.context.newPage()
    await page.goto(url)
    await page.waitForFunction(() => tab.started > 0)
    this.pages.push(page)
    return page
  }

  /** The tab that has the connection; there is one, or there will be. */
  async leader(): Promise<Page> {
    const found = await eventually(
      async () => {
        const vias = await Promise.all(this.pages.map(page => page.evaluate(() => tab.via())))
        const leaders = this.pages.filter((_, i) => vias[i] === 'websocket' || vias[i] === 'stream')
        return leaders.length === 1 && vias.every(via => via !== null) ? leaders : null
      },
      { what: 'one tab to lead', withinMs: 20_000 },
    )
    const [leader] = found ?? []
    if (!leader) throw new Error('No tab leads.')
    return leader
  }

  /** The tab in which runs what is to run once. */
  async running(): Promise<Page> {
    const found = await eventually(
      async () => {
        const runs = await Promise.all(this.pages.map(page => page.evaluate(() => tab.once.running)))
        const running = this.pages.filter((_, i) => runs[i])
        if (running.length > 1) this.ranTwice = true
        return running[0] ?? null
      },
      { what: 'it to run in one tab' },
    )
    if (!found) throw new Error('It runs nowhere.')
    return found
  }

  /** It is not one of us any more. */
  without(page: Page): void {
    this.pages = this.pages.filter(other => other !== page)
  }

  /** Waits until each has seen so many numbers; what each has seen. */
  async seen(count: number): Promise<number[][]> {
    await Promise.all(
      this.pages.map(page =>
        page.waitForFunction(count => tab.seen.length >= count, count, { timeout: 20_000 }),
      ),
    )
    return Promise.all(this.pages.map(page => page.evaluate(() => tab.seen)))
  }

  async errors(): Promise<string[]> {
    return (await Promise.all(this.pages.map(page => page.evaluate(() => tab.errors)))).flat()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.context.close()
  }
}
