/**
 * A tab that Playwright does not hold: it makes each of its pages believe that it has the focus, and a browser freezes
 * no such page.
 */
import type { Browser, CDPSession } from 'playwright-core'
import { eventually } from 'trpc-sluice/testing'

interface Result {
  readonly result?: { readonly value?: unknown }
  readonly exceptionDetails?: { readonly exception?: { readonly description?: string } }
}

type Answer =
  | { readonly id: number; readonly error: { readonly message: string } }
  | { readonly id: number; readonly result: Result }

export class PlainTab implements AsyncDisposable {
  readonly #browser: CDPSession
  readonly #targetId: string
  readonly #sessionId: string
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #lastId = 0

  private constructor(browser: CDPSession, targetId: string, sessionId: string) {
    this.#browser = browser
    this.#targetId = targetId
    this.#sessionId = sessionId
    browser.on('Target.receivedMessageFromTarget', ({ sessionId, message }) => {
      if (sessionId !== this.#sessionId) return
      const answer = JSON.parse(message) as Answer
      this.#waiting.get(answer.id)?.(answer)
    })
  }

  /** @param profile the id of the browser context to open it in; default: the browser's own. */
  static async open(browser: Browser, url: string, profile?: string): Promise<PlainTab> {
    const session = await browser.newBrowserCDPSession()
    const { targetId } = await session.send('Target.createTarget', {
      url,
      ...(profile !== undefined && { browserContextId: profile }),
    })
    const { sessionId } = await session.send('Target.attachToTarget', { targetId })
    return new PlainTab(session, targetId, sessionId)
  }

  /** The value of an expression, which may be a promise of it. A frozen page answers, too. */
  async evaluate(expression: string): Promise<unknown> {
    const answer = await this.#send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })
    const { exceptionDetails: thrown, result } = answer
    if (thrown) throw new Error(`${expression}: ${thrown.exception?.description}`)
    return result?.value
  }

  /** Waits until an expression is true; until the page is there, it throws. */
  async until(expression: string): Promise<void> {
    await eventually(() => this.evaluate(expression), { what: expression, withinMs: 20_000 })
  }

  /** As the browser does with a tab that nobody has looked at for a while. */
  async freeze(): Promise<void> {
    await this.#send('Page.setWebLifecycleState', { state: 'frozen' })
  }

  async thaw(): Promise<void> {
    await this.#send('Page.setWebLifecycleState', { state: 'active' })
  }

  /** As a click on it does: the others of its window are hidden then. */
  async show(): Promise<void> {
    await this.#send('Page.bringToFront', {})
  }

  /** The browser has no network for this tab, and says so to the page, until it has one again. */
  async setOffline(offline: boolean): Promise<void> {
    await this.#send('Network.enable', {})
    await this.#send('Network.emulateNetworkConditions', {
      offline,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput: -1,
    })
  }

  async reload(): Promise<void> {
    await this.#send('Page.reload', {})
  }

  /** Closes it; settles when it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.send('Target.closeTarget', { targetId: this.#targetId })
    const isGone = async () => {
      const { targetInfos } = await this.#browser.send('Target.getTargets')
      return targetInfos.every(({ targetId }) => targetId !== this.#targetId)
    }
    await eventually(isGone, { what: 'a tab to close' })
    await this.#browser.detach()
  }

  async #send(method: string, params: object): Promise<Result> {
    const id = ++this.#lastId
    const answered = new Promise<Answer>(resolve => this.#waiting.set(id, resolve))
    const message = JSON.stringify({ id, method, params })
    await this.#browser.send('Target.sendMessageToTarget', { sessionId: this.#sessionId, message })
    const answer = await answered
    this.#waiting.delete(id)
    if ('error' in answer) throw new Error(`${method}: ${answer.error.message}`)
    return answer.result
  }
}
