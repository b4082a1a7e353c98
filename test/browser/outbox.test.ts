import { eventually } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { openBrowser, openPage } from './kit/browser.ts'
import { startCounter } from './kit/counter.ts'
import type { Counter } from './pages/counter.ts'

declare const counter: Counter // of the page, in which the functions below are evaluated

const numbersOf = (counted: readonly string[], tab: string) =>
  counted.filter(one => one.startsWith(`${tab} `)).map(one => Number(one.slice(tab.length + 1)))
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

test('what was said offline survives a reload, and is done once, in order', async () => {
  await using server = await startCounter()
  await using browser = await openBrowser()
  await using ann = await openPage(browser, server.pageUrl('ann'))
  server.proxy.refuse()
  await ann.page.evaluate(() => counter.add(50))
  await ann.page.waitForFunction(() => counter.waiting() === 50 && counter.kept())
  await ann.page.reload()
  await ann.page.waitForFunction(() => counter.waiting() === 50)
  expect(server.counted).toEqual([])
  server.proxy.accept()
  await ann.page.waitForFunction(() => counter.waiting() === 0)
  expect(numbersOf(server.counted, 'ann')).toEqual(upTo(50))
  expect(ann.complaints).toEqual([])
})

test('a tab that is closed in the middle leaves the rest to another, and nothing is done twice', async () => {
  await using server = await startCounter()
  await using browser = await openBrowser()
  await using ann = await openPage(browser, server.pageUrl('stays'))
  const page = await ann.page.context().newPage()
  await page.goto(server.pageUrl('ends'))
  await page.evaluate(() => counter.add(200))
  await page.waitForFunction(() => counter.kept())
  await eventually(() => server.counted.length >= 20)
  void server.proxy.cut({ midFrame: true })
  await page.close()
  await eventually(() => server.counted.length === 200, { withinMs: 30_000 })
  expect(numbersOf(server.counted, 'ends')).toEqual(upTo(200))
  expect(await ann.page.evaluate(() => counter.errors)).toEqual([])
})

test('whoever clears the data of the site does not end the outbox of its pages', async () => {
  await using server = await startCounter()
  await using browser = await openBrowser()
  await using ann = await openPage(browser, server.pageUrl('ann'))
  await ann.page.evaluate(() => counter.add(1))
  await eventually(() => server.counted.length === 1)
  await ann.page.waitForFunction(() => counter.waiting() === 0)
  await ann.page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const cleared = indexedDB.deleteDatabase('sluice-outbox')
        cleared.addEventListener('success', resolve)
        cleared.addEventListener('error', reject)
      }),
  )
  await ann.page.evaluate(() => counter.add(2))
  await ann.page.waitForFunction(() => counter.waiting() === 0)
  expect(await ann.page.evaluate(() => counter.errors)).toEqual([])
  expect(server.counted).toEqual(['ann 1', 'ann 1', 'ann 2'])
})
