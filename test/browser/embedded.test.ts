import { expect, test } from 'vitest'
import { answerOf, ask, untilOutcome } from './kit/assistant.ts'
import { openBrowser, openPage } from './kit/browser.ts'
import { startShowcase } from './kit/showcase.ts'

test('with no endpoint configured, the embedded model answers, and the page says what it is', async () => {
  await using browser = await openBrowser()
  await using showcase = await startShowcase()
  await using ann = await openPage(browser, showcase.url('/assistant'))
  await ann.page.getByText(/A tiny word-guessing model, trained at start on .* words/).waitFor()
  await ask(ann.page, 'How do worker threads talk to each other?')
  await untilOutcome(ann.page, 'done')
  const { text } = await answerOf(ann.page)
  expect(text.split(' ').length).toBeGreaterThan(40)
  expect(ann.complaints).toEqual([])
})
