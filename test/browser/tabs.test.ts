import type { Browser, Page } from 'playwright-core'
import { eventually } from 'trpc-sluice/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openBrowser } from './kit/browser.ts'
import { PlainTab } from './kit/plain-tab.ts'
import { startTabsServer, Tabs } from './kit/tabs.ts'
import type { Tab } from './pages/tabs.ts'

declare const tab: Tab // of the page, in which the functions below are evaluated

let browser: Browser
beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser?.close())

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

test('ten tabs have one connection, and each sees every event, once, in order', async () => {
  await using server = await startTabsServer()
  await using tabs = await Tabs.open(browser, server.pageUrl(), 10)
  await tabs.leader()
  expect(server.sluice.stats().connections).toEqual({ websocket: 1, stream: 0, sse: 0 })
  await server.publish(1, 200)
  expect(await tabs.seen(200)).toEqual(tabs.pages.map(() => upTo(200)))
  // Queries and mutations go through it, too, and so do their errors.
  expect(await Promise.all(tabs.pages.map(page => page.evaluate(() => tab.whoami())))).toEqual(
    tabs.pages.map(() => 'ann'),
  )
  expect(await Promise.all(tabs.pages.map(page => page.evaluate(() => tab.fail())))).toEqual(
    tabs.pages.map(() => 'INTERNAL_SERVER_ERROR'),
  )
  expect(server.sluice.stats().connections.websocket).toBe(1)
  expect(await tabs.errors()).toEqual([])
})

const ends: Record<string, (leader: Page, tabs: Tabs) => Promise<unknown>> = {
  'is closed': leader => leader.close(),
  'is navigated away': leader => leader.goto('about:blank'),
  async crashes(leader, tabs) {
    const crashed = leader.waitForEvent('crash')
    const session = await tabs.context.newCDPSession(leader)
    void session.send('Page.crash').catch(() => {}) // there is nobody left to answer
    await crashed
  },
}

test.each(Object.entries(ends))(
  'when the tab that has the connection %s in mid-stream, the others lose and repeat nothing',
  async (_, end) => {
    await using server = await startTabsServer()
    await using tabs = await Tabs.open(browser, server.pageUrl(), 4)
    for (let round = 1; round <= 2; round++) {
      const leader = await tabs.leader()
      const published = server.publish(round * 100 - 99, round * 100)
      await tabs.pages[0]?.waitForFunction(n => tab.seen.length >= n, round * 100 - 90)
      tabs.without(leader)
      await end(leader, tabs)
      await published
    }
    await server.publish(201, 210)
    expect(await tabs.seen(210)).toEqual(tabs.pages.map(() => upTo(210)))
    await tabs.leader()
    expect(await tabs.errors()).toEqual([])
  },
)

test('tabs share one streamed response, too, and send their requests by themselves', async () => {
  await using server = await startTabsServer()
  await using tabs = await Tabs.open(browser, server.pageUrl({ transport: 'stream' }), 4)
  const leader = await tabs.leader()
  await eventually(() => server.sluice.stats().connections.stream === 1)
  const published = server.publish(1, 100)
  tabs.without(leader)
  await leader.close()
  await published
  await server.publish(101, 200)
  expect(await tabs.seen(200)).toEqual(tabs.pages.map(() => upTo(200)))
  expect(await Promise.all(tabs.pages.map(page => page.evaluate(() => tab.whoami())))).toEqual(
    tabs.pages.map(() => 'ann'),
  )
  await eventually(() => server.sluice.stats().connections.stream === 1)
  expect(await tabs.errors()).toEqual([])
})

test('when the tab that has the connection hangs, another takes over, and it has everything when it is back', async () => {
  await using server = await startTabsServer()
  await using tabs = await Tabs.open(browser, server.pageUrl(), 4)
  const leader = await tabs.leader()
  const others = tabs.pages.filter(page => page !== leader)
  const hanging = leader.evaluate(() => tab.hang(5_000)).catch(() => {}) // when the test has ended before
  await server.publish(1, 100)
  await Promise.all(others.map(page => page.waitForFunction(() => tab.seen.length === 100)))
  expect(server.sluice.stats().connections.websocket).toBe(2) // that of the tab that hangs, too
  await hanging
  await server.publish(101, 200)
  expect(await tabs.seen(200)).toEqual(tabs.pages.map(() => upTo(200)))
  expect(await tabs.leader()).not.toBe(leader)
  await eventually(() => server.sluice.stats().connections.websocket === 1)
  expect(await tabs.errors()).toEqual([])
})

test('a tab that the browser freezes gives up what it has, and has everything when it wakes up', async () => {
  await using server = await startTabsServer()
  const url = server.pageUrl({ once: '' })
  await using frozen = await PlainTab.open(browser, url)
  await frozen.until('tab.via() === "websocket" && tab.once.running')
  await using other = await PlainTab.open(browser, url)
  await other.until('tab.via() === "tab" && tab.started > 0')

  await server.publish(1, 100)
  await frozen.until('tab.once.dealt.length === 100')
  await frozen.freeze()
  await frozen.until('!tab.once.running') // it has heard of it: until then it still reads
  await server.publish(101, 200)
  await other.until('tab.seen.length === 200 && tab.via() === "websocket"')
  await other.until('tab.once.dealt.length === 100')
  expect(await frozen.evaluate('[tab.seen.length, tab.once.running]')).toEqual([100, false])
  await eventually(() => server.sluice.stats().connections.websocket === 1)

  await frozen.thaw()
  await frozen.until('tab.seen.length === 200 && tab.via() === "tab"')
  await server.publish(201, 210)
  for (const tab of [frozen, other]) {
    await tab.until('tab.seen.length === 210')
    expect(await tab.evaluate('tab.seen')).toEqual(upTo(210))
  }
  await other.until('tab.once.dealt.length === 110')
  const dealt = [await frozen.evaluate('tab.once.dealt'), await other.evaluate('tab.once.dealt')]
  expect(dealt.flat()).toEqual(upTo(210))
  expect(server.sluice.stats().connections.websocket).toBe(1)
})

test('tabs of different users never share, also when one logs in as another', async () => {
  await using server = await startTabsServer()
  await using tabs = await Tabs.open(browser, server.pageUrl({ user: 'ann' }), 2)
  await tabs.add(server.pageUrl({ user: 'bob' }))
  const bob = await tabs.add(server.pageUrl({ user: 'bob' }))
  const names = () => Promise.all(tabs.pages.map(page => page.evaluate(() => tab.whoami())))
  expect(await names()).toEqual(['ann', 'ann', 'bob', 'bob'])
  expect(server.sluice.stats().connections.websocket).toBe(2)

  // Bob's second tab has been served by his first. From now on it is Cleo's, and has to have a connection of its own.
  expect(await bob.evaluate(() => tab.via())).toBe('tab')
  await bob.evaluate(() => tab.login('cleo'))
  await bob.evaluate(() => tab.whoami().catch(() => null)) // asked in the moment of the change, it may be lost
  expect(await names()).toEqual(['ann', 'ann', 'bob', 'cleo'])
  expect(server.sluice.stats().connections.websocket).toBe(3)
  await server.publish(1, 50)
  expect(await tabs.seen(50)).toEqual(tabs.pages.map(() => upTo(50)))
})

test('a loop that takes nothing holds the server back across tabs, and delays no other', async () => {
  await using server = await startTabsServer()
  await using tabs = await Tabs.open(browser, server.pageUrl(), 2)
  const leader = await tabs.leader()
  const follower = tabs.pages.find(page => page !== leader)
  await server.publish(1, 1)
  await tabs.seen(1)
  await follower?.evaluate(() => tab.slow.start())
  await server.publish(2, 501)
  expect(await tabs.seen(501)).toEqual(tabs.pages.map(() => upTo(501)))
  // Ten wait in the loop and ten in the leader's tab; the others where they are stored.
  await eventually(() => server.sluice.stats().subscribers.lag.max >= 470)
  expect(await follower?.evaluate(() => tab.slow.take(500))).toEqual(upTo(501).slice(1))
})

test('what is once per browser runs in one tab at a time, and the next goes on where it was', async () => {
  await using server = await startTabsServer()
  await using tabs = await Tabs.open(browser, server.pageUrl({ once: '' }), 3)
  const dealt: number[] = []
  for (let round = 1; round <= 3; round++) {
    const running = await tabs.running()
    await server.publish(round * 50 - 49, round * 50)
    await running.waitForFunction(() => tab.once.dealt.length >= 50)
    dealt.push(...(await running.evaluate(() => tab.once.dealt)))
    await tabs.running()
    tabs.without(running)
    if (round === 2) await ends['crashes']?.(running, tabs)
    else await running.close()
  }
  expect(dealt).toEqual(upTo(150))
  expect(tabs.ranTwice).toBe(false)
})
