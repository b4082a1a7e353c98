import { expect, test } from 'vitest'
import { openBrowser, openPage } from './kit/browser.ts'
import { startCrowd, startPlainCrowd } from './kit/crowd.ts'
import type { Crowd } from './pages/crowd.ts'

declare const crowd: Crowd // of the page, in which the functions below are evaluated

test.each([
  ['HTTP/1.1', startPlainCrowd],
  ['HTTP/2', startCrowd],
] as const)(
  '50 subscriptions of a page over %s share one response, and each sees every event, once, in order',
  async (_, start) => {
    const { server, sluice, topic } = await start()
    await using _server = server
    await using browser = await openBrowser()
    await using ann = await openPage(browser, `${server.url}/?transport=stream&count=50`, {
      ignoreHTTPSErrors: true,
    })
    await ann.page.waitForFunction(() => crowd.started === 50)
    expect(sluice.stats()).toMatchObject({
      connections: { websocket: 0, stream: 1, sse: 0 },
      subscriptions: 50,
    })

    for (let n = 1; n <= 50; n++) await topic.publish('k', { n })
    await ann.page.waitForFunction(() => crowd.seen.every(numbers => numbers.length >= 50))
    const all = Array.from({ length: 50 }, (_, i) => i + 1)
    expect(await ann.page.evaluate(() => crowd.seen)).toEqual(Array.from({ length: 50 }, () => all))

    // There is room beside it, which 50 responses would not have left.
    expect(await ann.page.evaluate(() => crowd.hello())).toBe('hello')
    expect(await ann.page.evaluate(() => crowd.errors)).toEqual([])
    expect(ann.complaints).toEqual([])
  },
)
