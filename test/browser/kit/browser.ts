/** A real Chromium, and people who use it: each with a profile of their own. */
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
    headless: true,
    args: flags,
  })
}

export interface Person extends AsyncDisposable {
  readonly page: Page
  /** What the page has thrown or written to the console as an error; what a lost connection causes is left out. */
  readonly complaints: readonly string[]
}

/** Somebody with a browser of their own, who has the page open. */
export async function openPage(
  browser: Browser,
  url: string,
  { name = 'Amber Heron', ...options }: { name?: string } & Parameters<Browser['newContext']>[0] = {},
): Promise<Person> {
  const context: BrowserContext = await browser.newContext(options)
  await context.addInitScript(name => localStorage.setItem('sluice.name', name), name)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', error => complaints.push(error.message))
  page.on('console', message => {
    // The browser itself reports each request that fails; that is what these tests are about.
    if (message.type() === 'error' && !/net::|WebSocket|Failed to load/.test(message.text())) {
      complaints.push(message.text())
    }
  })
  await page.goto(url)
  return { page, complaints, [Symbol.asyncDispose]: () => context.close() }
}
