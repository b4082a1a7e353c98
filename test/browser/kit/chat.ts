/** What people do and see in a room. */
import type { Page } from 'playwright-core'

export function composer(page: Page) {
  return page.getByRole('textbox', { name: /^Message to/ })
}

export async function say(page: Page, text: string): Promise<void> {
  await composer(page).fill(text)
  await page.keyboard.press('Enter')
}

/** The texts of the messages that have arrived, in the order in which they are shown. */
export function messagesOf(page: Page): Promise<string[]> {
  return page.locator('[data-status="arrived"]').allTextContents()
}

/** Waits until the page shows exactly these messages, in this order. */
export async function untilMessages(page: Page, texts: readonly string[], withinMs = 15_000): Promise<void> {
  const shown = (texts: readonly string[]) => {
    const elements = document.querySelectorAll('[data-status="arrived"]')
    return elements.length === texts.length && texts.every((text, i) => elements[i]?.textContent === text)
  }
  await page.waitForFunction(shown, texts, { timeout: withinMs }).catch(async (cause: unknown) => {
    const seen = await messagesOf(page)
    const wrong = texts.findIndex((text, i) => seen[i] !== text)
    const detail = `${seen.length} of ${texts.length} messages; at ${wrong}: ${JSON.stringify(seen.slice(wrong, wrong + 3))}`
    throw new Error(`The page does not show what it should after ${withinMs} ms: ${detail}`, { cause })
  })
}

/** What the connection badge says. */
export function badge(page: Page) {
  return page.locator('.badge')
}

/** Waits until the page says that its connection stands so. */
export async function untilConnection(page: Page, at: string, withinMs = 15_000): Promise<void> {
  await page.locator(`.badge[data-state="${at}"]`).waitFor({ timeout: withinMs })
}
