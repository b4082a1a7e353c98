/** What people do and see with the assistant. */
import type { Page } from 'playwright-core'

export async function ask(page: Page, question: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Your question' }).fill(question)
  await page.keyboard.press('Enter')
}

/** What the page shows of its last answer, and how that stands. */
export async function answerOf(page: Page): Promise<{ id: string; outcome: string; text: string }> {
  const answer = page.locator('.answer').last()
  return {
    id: (await answer.getAttribute('data-answer')) ?? '',
    outcome: (await answer.getAttribute('data-outcome')) ?? '',
    text: (await answer.locator('.prose').textContent())?.trim() ?? '',
  }
}

/** Waits until the last answer has at least so many words. */
export async function untilWords(page: Page, count: number): Promise<void> {
  await page.waitForFunction(count => {
    const text = Array.from(document.querySelectorAll('.prose')).at(-1)?.textContent ?? ''
    return text.split(' ').length > count
  }, count)
}

/** Waits until the last answer has ended in this way. */
export async function untilOutcome(page: Page, outcome: string): Promise<void> {
  await page.locator(`.turn:last-child .answer[data-outcome="${outcome}"]`).waitFor({ timeout: 20_000 })
}
