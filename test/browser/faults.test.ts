import { createFaultProxy, eventually, seededRandom } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { answerOf, ask, untilOutcome, untilWords } from './kit/assistant.ts'
import { openPage } from './kit/browser.ts'
import { badge, composer, say, untilConnection, untilMessages } from './kit/chat.ts'
import { numbersUpTo } from './kit/numbers-endpoint.ts'
import { openScene } from './kit/scene.ts'

const { browser, showcase } = await openScene()

test('twenty cuts at random while 2,000 numbered messages are published: all are there, once, in order', async () => {
  const cuts = 20
  const count = 2000
  const seed = Date.now()
  const random = seededRandom(seed)
  await using proxy = await createFaultProxy({ target: showcase.url() })
  await using ann = await openPage(browser, proxy.url('/chat/numbers'))
  await untilConnection(ann.page, 'ready')
  using server = showcase.connect()

  const cutAfter = new Set<number>()
  while (cutAfter.size < cuts) cutAfter.add(1 + Math.floor(random() * (count - 200)))
  const send = (text: string) =>
    server.client.chat.send.mutate({ id: crypto.randomUUID(), room: 'numbers', author: 'Counter', text })
  await send('0')
  await untilMessages(ann.page, ['0']) // from now on it has a cursor to come back with
  // The page's idle connections of plain HTTP would keep a cut in mid-frame waiting: only its WebSocket comes back.
  const loaded = proxy.accepted
  await proxy.cut()
  const cutting: Promise<void>[] = []
  let ended = 0
  let due = 0
  let accepted = loaded
  for (let number = 1; number <= count; number++) {
    await send(String(number))
    if (cutAfter.has(number)) due++
    // A cut in mid-frame waits for a frame, which the next message brings.
    const pending = ended < cutting.length && proxy.accepted === accepted
    if (due === 0 || pending) continue
    due--
    // A cut needs a connection: the page has to have come back from the last one.
    const what = `the page to come back after ${cutting.length} cuts (seed ${seed})`
    const isBack = async (): Promise<boolean> => {
      if (proxy.connections > 0 && proxy.accepted > accepted) return true
      // As a network that comes back does: a page that is cut again and again waits up to 30 s otherwise.
      await ann.page.evaluate(() => window.dispatchEvent(new Event('online')))
      return false
    }
    await eventually(isBack, { what, withinMs: 30_000 })
    accepted = proxy.accepted
    const how = random() < 0.5 ? 'rst' : 'fin'
    cutting.push(proxy.cut({ how, midFrame: random() < 0.5 }).then(() => void ended++))
  }
  const all = Array.from({ length: count + 1 }, (_, i) => String(i))
  await untilMessages(ann.page, all, 60_000)
  await Promise.all(cutting)
  expect(cutting.length).toBe(cuts)
  expect(proxy.accepted - loaded).toBeGreaterThan(cuts)
  expect(ann.complaints).toEqual([])
})

test('with WebSocket blocked entirely, the page works over streamed HTTP', async () => {
  await using proxy = await createFaultProxy({ target: showcase.url() })
  proxy.refuseUpgrades()
  await using ann = await openPage(browser, proxy.url('/chat/blocked'), { name: 'Ann' })
  await using bob = await openPage(browser, showcase.url('/chat/blocked'), { name: 'Bob' })
  await badge(ann.page).getByText('Live · Stream').first().waitFor({ timeout: 20_000 })
  await say(bob.page, 'Can you hear me?')
  await untilMessages(ann.page, ['Can you hear me?'])
  await say(ann.page, 'Loud and clear')
  await untilMessages(bob.page, ['Can you hear me?', 'Loud and clear'])
  await ann.page.getByRole('link', { name: 'Assistant' }).click()
  await ask(ann.page, 'Count without a socket')
  await untilOutcome(ann.page, 'done')
  expect((await answerOf(ann.page)).text).toBe(numbersUpTo(150))
})

test('a server killed in mid-sentence and started again: the page says so, comes back by itself, has all once', async () => {
  await using ann = await openPage(browser, showcase.url('/chat/killed'), { name: 'Ann' })
  await using bob = await openPage(browser, showcase.url('/chat/killed'), { name: 'Bob' })
  await say(ann.page, 'Before')
  await untilMessages(bob.page, ['Before'])

  await showcase.kill()
  await ann.page.locator('.badge[data-tone="warn"]').waitFor()
  expect(await badge(ann.page).textContent()).toMatch(/Reconnecting/)
  await say(ann.page, 'Typed while it was down')
  await ann.page.getByText('sending…').waitFor()

  await showcase.start()
  await untilConnection(ann.page, 'ready', 30_000)
  await untilMessages(ann.page, ['Before', 'Typed while it was down'], 30_000)
  await untilMessages(bob.page, ['Before', 'Typed while it was down'], 30_000)
  await say(bob.page, 'After')
  await untilMessages(ann.page, ['Before', 'Typed while it was down', 'After'])
})

test('a message typed without a connection survives a reload, and arrives once when there is one', async () => {
  await using proxy = await createFaultProxy({ target: showcase.url() })
  await using ann = await openPage(browser, proxy.url('/chat/offline'))
  await untilConnection(ann.page, 'ready')
  // The page can be loaded, and its router cannot be reached.
  proxy.refuseUpgrades()
  await ann.page.route('**/trpc/**', route => route.abort())
  await proxy.cut()
  await say(ann.page, 'Typed in a tunnel')
  await ann.page.getByText('sending…').waitFor()
  await ann.page.reload()
  await ann.page.getByText('Typed in a tunnel').waitFor()
  await ann.page.getByText('sending…').waitFor()

  await ann.page.unroute('**/trpc/**')
  proxy.allowUpgrades()
  await untilMessages(ann.page, ['Typed in a tunnel'], 30_000)
  await using bob = await openPage(browser, showcase.url('/chat/offline'), { name: 'Bob' })
  await untilMessages(bob.page, ['Typed in a tunnel'])
})

test('an answer whose server was killed is shown as interrupted, with what was written', async () => {
  await using ann = await openPage(browser, showcase.url('/assistant'))
  await ask(ann.page, 'Count until you are killed')
  await untilWords(ann.page, 20)
  await showcase.kill()
  await ann.page.locator('.badge[data-tone="warn"]').waitFor()
  await showcase.start()
  await untilOutcome(ann.page, 'interrupted')
  const { text } = await answerOf(ann.page)
  expect(numbersUpTo(150).startsWith(text)).toBe(true)
  expect(text.split(' ').length).toBeGreaterThanOrEqual(20)
  await ann.page.getByRole('button', { name: 'Ask again' }).click()
  await untilOutcome(ann.page, 'done')
  expect((await answerOf(ann.page)).text).toBe(numbersUpTo(150))
})

test('a server that is asked to stop tells its pages, and a new one takes over', async () => {
  await using ann = await openPage(browser, showcase.url('/chat/stopped'))
  await say(ann.page, 'Before')
  await untilMessages(ann.page, ['Before'])
  await showcase.stop()
  await showcase.start()
  await composer(ann.page).waitFor()
  await say(ann.page, 'After')
  await untilMessages(ann.page, ['Before', 'After'], 30_000)
})

test('a server that comes back without its data: the page begins afresh and goes on', async () => {
  await using ann = await openPage(browser, showcase.url('/chat/wiped'))
  await say(ann.page, 'Soon forgotten')
  await untilMessages(ann.page, ['Soon forgotten'])
  await showcase.kill()
  await showcase.wipe()
  await showcase.start()
  using server = showcase.connect()
  const id = crypto.randomUUID()
  await server.client.chat.send.mutate({ id, room: 'wiped', author: 'Ann', text: 'A new life' })
  await untilMessages(ann.page, ['A new life'], 30_000)
  await say(ann.page, 'Indeed')
  await untilMessages(ann.page, ['A new life', 'Indeed'])
})
