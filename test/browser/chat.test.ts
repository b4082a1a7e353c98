import { expect, test } from 'vitest'
import { openPage } from './kit/browser.ts'
import { composer, messagesOf, say, untilMessages } from './kit/chat.ts'
import { openScene } from './kit/scene.ts'

const { browser, showcase } = await openScene()

test('a message typed in one browser appears in another, once, with its author', async () => {
  await using ann = await openPage(browser, showcase.url('/chat/hello'), { name: 'Ann' })
  await using bob = await openPage(browser, showcase.url('/chat/hello'), { name: 'Bob' })
  await say(ann.page, 'Hello from Ann')
  await untilMessages(bob.page, ['Hello from Ann'])
  await say(bob.page, 'Hello back')
  await untilMessages(ann.page, ['Hello from Ann', 'Hello back'])
  expect(await bob.page.getByRole('heading', { level: 3 }).allTextContents()).toEqual(['Ann', 'Bob'])
  expect([...ann.complaints, ...bob.complaints]).toEqual([])
})

test('a newcomer sees the history, and older messages on scrolling up', async () => {
  using server = showcase.connect()
  const texts = Array.from({ length: 130 }, (_, i) => `Message ${i + 1}`)
  for (const text of texts) {
    await server.client.chat.send.mutate({ id: crypto.randomUUID(), room: 'long', author: 'Ann', text })
  }
  await using bob = await openPage(browser, showcase.url('/chat/long'))
  await untilMessages(bob.page, texts.slice(-50))
  const log = bob.page.getByRole('log')
  while ((await messagesOf(bob.page)).length < texts.length) {
    await log.evaluate(element => element.scrollTo(0, -element.scrollHeight))
  }
  await untilMessages(bob.page, texts)
  await bob.page.getByText('This is where the room begins.').waitFor()
})

test('a reader who has scrolled up stays there when a message comes', async () => {
  using server = showcase.connect()
  const send = (text: string) =>
    server.client.chat.send.mutate({ id: crypto.randomUUID(), room: 'scrolled', author: 'Ann', text })
  for (let i = 1; i <= 45; i++) await send(`Message ${i}`)
  await using bob = await openPage(browser, showcase.url('/chat/scrolled'))
  const tenth = bob.page.getByText('Message 10', { exact: true })
  await tenth.scrollIntoViewIfNeeded()
  await bob.page.getByRole('button', { name: 'Newest' }).waitFor()
  const before = await tenth.boundingBox()
  await send('One more')
  await bob.page.getByText('One more').waitFor()
  expect((await tenth.boundingBox())?.y).toBeCloseTo(before?.y ?? Number.NaN, 0)
  await bob.page.getByRole('button', { name: 'Newest' }).click()
  await bob.page.getByRole('button', { name: 'Newest' }).waitFor({ state: 'detached' })
})

test('everything can be done by keyboard: skip to the content, open a room, write two lines, send them', async () => {
  await using ann = await openPage(browser, showcase.url('/'))
  const { page } = ann
  await composer(page).waitFor()
  await page.keyboard.press('Tab')
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to content')
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Open a new room' }).focus()
  await page.keyboard.press('Enter')
  await page.keyboard.type('By Keyboard')
  await page.keyboard.press('Enter')
  await page.waitForURL('**/chat/by-keyboard')
  await page.getByRole('textbox', { name: 'Message to by-keyboard' }).focus()
  await page.keyboard.type('one')
  await page.keyboard.press('Shift+Enter')
  await page.keyboard.type('two')
  await page.keyboard.press('Enter')
  await untilMessages(page, ['one\ntwo'])
})

test('a room that one opens is in the list of all', async () => {
  await using ann = await openPage(browser, showcase.url('/'))
  await using bob = await openPage(browser, showcase.url('/'))
  await ann.page.getByRole('button', { name: 'Open a new room' }).click()
  await ann.page.getByRole('textbox', { name: 'Name of the new room' }).fill('garden')
  await ann.page.keyboard.press('Enter')
  await bob.page.getByRole('link', { name: 'garden' }).click()
  await bob.page.waitForURL('**/chat/garden')
})

test('fits a phone, in light and in dark', async () => {
  for (const colorScheme of ['light', 'dark'] as const) {
    const viewport = { width: 360, height: 740 }
    await using ann = await openPage(browser, showcase.url('/chat/hello'), { viewport, colorScheme })
    await composer(ann.page).waitFor()
    const overflow = () => document.documentElement.scrollWidth - document.documentElement.clientWidth
    expect(await ann.page.evaluate(overflow)).toBe(0)
    await ann.page.getByRole('link', { name: 'Assistant' }).click()
    await ann.page.getByRole('textbox', { name: 'Your question' }).waitFor()
    expect(await ann.page.evaluate(overflow)).toBe(0)
  }
})
