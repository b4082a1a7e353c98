/** A browser profile of its own, for tabs that Playwright does not hold: they are hidden, frozen and offline as real ones. */
import type { Browser, CDPSession } from 'playwright-core'
import { PlainTab } from './plain-tab.ts'

export class Profile implements AsyncDisposable {
  readonly #browser: Browser
  readonly #session: CDPSession
  readonly #id: string

  private constructor(browser: Browser, session: CDPSession, id: string) {
    this.#browser = browser
    this.#session = session
    this.#id = id
  }

  static async create(browser: Browser): Promise<Profile> {
    const session = await browser.newBrowserCDPSession()
    const { browserContextId } = await session.send('Target.createBrowserContext')
    return new Profile(browser, session, browserContextId)
  }

  open(url: string): Promise<PlainTab> {
    return PlainTab.open(this.#browser, url, this.#id)
  }

  /** Closes all of its tabs, and forgets what they have stored. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.send('Target.disposeBrowserContext', { browserContextId: this.#id })
    await this.#session.detach()
  }
}
