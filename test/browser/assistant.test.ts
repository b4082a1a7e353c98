import type { Page } from 'playwright-core'
import { foldItem, isRunEnd } from 'trpc-sluice/shared'
import { iterate } from 'trpc-sluice/client'
import { beforeEach, describe, expect, test } from 'vitest'
import { answerFold } from '../../apps/showcase/shared/folds.ts'
import { answerOf, ask, untilOutcome, untilWords } from './kit/assistant.ts'
import { openPage } from './kit/browser.ts'
import { calm, numbersUpTo } from './kit/numbers-endpoint.ts'
import { openScene } from './kit/scene.ts'

const { browser, endpoint, showcase } = await openScene()
beforeEach(() => {
  endpoint.mood = calm
})

/** The answer as the server's log has it. */
async function logOf(id: string): Promise<string> {
  using server = showcase.connect()
  let text = answerFold.initial
  for await (const { data } of iterate(server.client.assistant.answer.attach, { id })) {
    text = foldItem(answerFold, text, data)
    if (isRunEnd(data)) break
  }
  return text.trim()
}

const whole = numbersUpTo(150)

test('an answer appears token by token and ends with what it took', async () => {
  await using ann = await openPage(browser, showcase.url('/assistant'))
  await ask(ann.page, 'Count, please')
  await untilWords(ann.page, 20)
  expect(await answerOf(ann.page)).toMatchObject({ outcome: 'running' })
  await untilOutcome(ann.page, 'done')
  expect((await answerOf(ann.page)).text).toBe(whole)
  await ann.page.getByText('150 tokens').waitFor()
  expect(ann.complaints).toEqual([])
})

test('a reload in mid-answer goes on with no token lost or doubled', async () => {
  await using ann = await openPage(browser, showcase.url('/assistant'))
  await ask(ann.page, 'Count while I reload')
  for (const words of [20, 50, 80]) {
    await untilWords(ann.page, words)
    await ann.page.reload()
  }
  await untilWords(ann.page, 80)
  expect(await answerOf(ann.page)).toMatchObject({ outcome: 'running' })
  await untilOutcome(ann.page, 'done')
  const { id, text } = await answerOf(ann.page)
  expect(text).toBe(whole)
  expect(await logOf(id)).toBe(whole)
})

test('an answer goes on while nobody watches, and is there on return', async () => {
  await using ann = await openPage(browser, showcase.url('/assistant'))
  await ask(ann.page, 'Count for yourself')
  await untilWords(ann.page, 10)
  const address = ann.page.url()
  const { id } = await answerOf(ann.page)
  await ann.page.goto('about:blank')
  expect(await logOf(id)).toBe(whole)
  await ann.page.goto(address)
  await untilOutcome(ann.page, 'done')
  expect((await answerOf(ann.page)).text).toBe(whole)
})

test('two browsers watch one answer, and either can stop it', async () => {
  await using ann = await openPage(browser, showcase.url('/assistant'))
  await ask(ann.page, 'Count for two')
  await untilWords(ann.page, 10)
  await using bob = await openPage(browser, ann.page.url())
  await untilWords(bob.page, 10)
  expect((await answerOf(bob.page)).id).toBe((await answerOf(ann.page)).id)
  await bob.page.getByRole('button', { name: 'Stop' }).click()
  await Promise.all([untilOutcome(ann.page, 'stopped'), untilOutcome(bob.page, 'stopped')])
  const [a, b] = [await answerOf(ann.page), await answerOf(bob.page)]
  expect(a.text).toBe(b.text)
  expect(whole.startsWith(a.text)).toBe(true)
  expect(a.text.length).toBeLessThan(whole.length)
  expect(await logOf(a.id)).toBe(a.text)
})

test('two browsers that watch to the end have the same answer', async () => {
  await using ann = await openPage(browser, showcase.url('/assistant'))
  await ask(ann.page, 'Count to the end')
  await untilWords(ann.page, 5)
  await using bob = await openPage(browser, ann.page.url())
  await Promise.all([untilOutcome(ann.page, 'done'), untilOutcome(bob.page, 'done')])
  expect((await answerOf(ann.page)).text).toBe(whole)
  expect((await answerOf(bob.page)).text).toBe(whole)
})

test('conversations are listed for everybody, and go on', async () => {
  endpoint.mood = { kind: 'answer', count: 3, everyMs: 1 }
  await using ann = await openPage(browser, showcase.url('/assistant'))
  await ask(ann.page, 'Remember me')
  await untilOutcome(ann.page, 'done')
  await using bob = await openPage(browser, showcase.url('/assistant'))
  await bob.page.getByRole('link', { name: 'Remember me' }).click()
  await untilOutcome(bob.page, 'done')
  await ask(bob.page, 'And again')
  await ann.page.locator('.question', { hasText: 'And again' }).waitFor()
  await ann.page.locator('.turn:nth-of-type(2) .answer[data-outcome="done"]').waitFor()
})

describe('an endpoint that fails is shown as what it is', () => {
  const askInVain = async (page: Page, expected: RegExp) => {
    await ask(page, 'Will this work?')
    await untilOutcome(page, 'failed')
    expect(await page.getByRole('alert').textContent()).toMatch(expected)
  }

  test('when it refuses', async () => {
    endpoint.mood = { kind: 'refuse', status: 401 }
    await using ann = await openPage(browser, showcase.url('/assistant'))
    await askInVain(ann.page, /The model refused\. .* answered with 401: it does not accept the API key/)
  })

  test('when it breaks off in mid-answer, with what it had said by then', async () => {
    endpoint.mood = { kind: 'cut', after: 20 }
    await using ann = await openPage(browser, showcase.url('/assistant'))
    await askInVain(ann.page, /The model broke off\. .* before it was complete/)
    expect((await answerOf(ann.page)).text).toBe(numbersUpTo(20))
  })

  test('when it is down, and asking again works when it is back', async () => {
    await endpoint.stop()
    await using ann = await openPage(browser, showcase.url('/assistant'))
    await askInVain(ann.page, /The model cannot be reached\. .* Is the server of the model running/)
    await endpoint.start()
    await ann.page.getByRole('button', { name: 'Ask again' }).click()
    await untilOutcome(ann.page, 'done')
    expect((await answerOf(ann.page)).text).toBe(whole)
  })
})
