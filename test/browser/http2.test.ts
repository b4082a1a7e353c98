import { expect, test } from 'vitest'
import { openBrowser, openPage } from './kit/browser.ts'
import { startCrowd } from './kit/crowd.ts'
import type { Crowd } from './pages/crowd.ts'

declare const crowd: Crowd // of the page, in which the functions below are evaluated

test('200 subscriptions over SSE share one HTTP/2 connection, and each sees every event, once, in order', async () => {
  const { topic, sluice, server } = await startCrowd()
  await using _server = server
  await using browser = await openBrowser()
  await using ann = await openPage(browser, `${server.url}/?transport=sse&count=200`, {
    ignoreHTTPSErrors: true,
  })
  await ann.page.waitForFunction(() => crowd.started === 200)
  expect(sluice.stats().connections).toEqual({ websocket: 0, stream: 0, sse: 200 })

  for (let n = 1; n <= 50; n++) await topic.publish('k', { n })
  await ann.page.waitForFunction(() => crowd.seen.every(numbers => numbers.length >= 50))
  const all = Array.from({ length: 50 }, (_, i) => i + 1)
  const seen = await ann.page.evaluate(() => crowd.seen)
  expect(seen).toEqual(Array.from({ length: 200 }, () => all))

  // There is room beside them, which six connections of HTTP/1.1 would not have left.
  expect(await ann.page.evaluate(() => crowd.hello())).toBe('hello')
  expect(server.sessions).toHaveLength(1)
  expect(await ann.page.evaluate(() => crowd.errors)).toEqual([])
  expect(ann.complaints).toEqual([])
})
