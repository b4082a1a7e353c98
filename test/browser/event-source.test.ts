import http from 'node:http'
import { initTRPC } from '@trpc/server'
import { createSluice, createTopic } from 'trpc-sluice/server'
import { Scope } from 'trpc-sluice/shared'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { listen } from '../support/listen.ts'
import { openBrowser, openPage } from './kit/browser.ts'

const event = (n: number, words: number) => ({ n, text: 'the quick brown fox '.repeat(words) })

test('an EventSource reads a gzipped stream event by event', async () => {
  const t = initTRPC.create()
  const topic = createTopic({ name: 'news', event: z.object({ n: z.number(), text: z.string() }) })
  const router = t.router({
    news: t.procedure
      .input(z.object({ lastEventId: z.string().optional() }))
      .subscription(({ input, signal }) => topic.subscribe('k', { after: input.lastEventId, signal })),
  })
  const sluice = createSluice({ router, basePath: '/trpc', compression: true })
  const server = http.createServer((req, res) => {
    sluice.node(req, res, () => res.setHeader('content-type', 'text/html').end('<title>news</title>'))
  })
  await using scope = new Scope()
  scope.defer(() => sluice.close())
  const { url } = scope.use(await listen(server))
  const browser = scope.use(await openBrowser())
  const ann = scope.use(await openPage(browser, url))
  const { page } = ann
  const answered = page.waitForResponse(response => response.url().includes('/trpc/news'))
  await page.evaluate(() => {
    const source = new EventSource('/trpc/news?input={}')
    const seen: unknown[] = []
    source.addEventListener('connected', () => seen.push('connected'))
    source.addEventListener('message', ({ data }) => seen.push(JSON.parse(data)))
    Object.assign(globalThis, { seen })
  })
  const until = (count: number) =>
    page.waitForFunction(count => (globalThis as unknown as { seen: unknown[] }).seen.length >= count, count)
  await until(1)
  expect((await answered).headers()['content-encoding']).toBe('gzip')
  // Each is waited for before the next: small ones, which are stored, and large ones, which are deflated.
  for (const [index, words] of [1, 300, 1, 100].entries()) {
    await topic.publish('k', event(index, words))
    await until(index + 2)
  }
  const seen = await page.evaluate(() => (globalThis as unknown as { seen: unknown[] }).seen)
  expect(seen).toEqual(['connected', ...[1, 300, 1, 100].map((words, index) => event(index, words))])
  expect(ann.complaints).toEqual([])
})
