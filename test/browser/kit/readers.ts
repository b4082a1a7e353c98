/** Tabs of one browser profile, each of which reads all numbers; whatever becomes of them, they read on. */
import type { Browser } from 'playwright-core'
import type { Reader } from '../pages/reader.ts'
import type { PlainTab } from './plain-tab.ts'
import { Profile } from './profile.ts'

interface Seat {
  readonly url: string
  readonly tab: PlainTab
}

/** More of them, each with a connection or two of its own, would hang one another over HTTP/1.1. */
const most = 3

/** Shorter than that of a test, so that it is the page that says what it waits for. */
const withinMs = 20_000

export class Readers implements AsyncDisposable {
  readonly #profile: Profile
  readonly #url: string
  readonly #params: Readonly<Record<string, string>>
  #seats: Seat[] = []
  #closing: Promise<void> | null = null
  #joined = 0
  /** Tabs that were opened, or loaded again. */
  opened = 0

  private constructor(profile: Profile, url: string, params: Readonly<Record<string, string>>) {
    this.#profile = profile
    this.#url = url
    this.#params = params
  }

  /** @param params what the page at `url` is told, beside the name of the reader. */
  static async open(
    browser: Browser,
    url: string,
    params: Readonly<Record<string, string>>,
  ): Promise<Readers> {
    return new Readers(await Profile.create(browser), url, params)
  }

  /** The first two. All that these know is when they began: what is published from then on is theirs. */
  async begin(): Promise<void> {
    await Promise.all([this.#join(), this.#join()])
    await Promise.all(this.#seats.map(({ tab }) => tab.evaluate('reader.started')))
  }

  /** One more, if there is room. @param beginning the cursor after which it reads. */
  async join(beginning: string): Promise<void> {
    if (this.#joined < most) await this.#join({ beginning })
  }

  async reload(index: number): Promise<void> {
    const { tab } = this.#at(index)
    await this.recover()
    await tab.evaluate('delete globalThis.reader')
    await tab.reload()
    await this.#loaded(tab)
  }

  /** Closes a tab, and then opens another that goes on in its place. */
  async replace(index: number): Promise<void> {
    const { url, tab } = this.#at(index)
    this.#seats = this.#seats.filter(seat => seat.tab !== tab)
    await tab[Symbol.asyncDispose]()
    await this.#open(url)
  }

  /** As the browser does with a tab that is hidden. */
  freeze(index: number): Promise<void> {
    return this.#at(index).tab.freeze()
  }

  /** One is looked at; the others are hidden. */
  show(index: number): Promise<void> {
    return this.#at(index).tab.show()
  }

  async setOffline(offline: boolean): Promise<void> {
    await Promise.all(this.#seats.map(({ tab }) => tab.setOffline(offline)))
  }

  async thaw(): Promise<void> {
    await Promise.all(this.#seats.map(({ tab }) => tab.thaw()))
  }

  /** None is offline or frozen any more. */
  async recover(): Promise<void> {
    await this.setOffline(false)
    await this.thaw()
  }

  /** Waits until each has seen so many. */
  async until(count: number): Promise<void> {
    await this.recover()
    await Promise.all(this.#seats.map(({ tab }) => tab.evaluate(`reader.until(${count}, ${withinMs})`)))
  }

  /** What each has seen, and complained of. */
  report(expected: number): Promise<ReturnType<Reader['report']>[]> {
    const asked = `reader.report(${expected})`
    return Promise.all(
      this.#seats.map(({ tab }) => tab.evaluate(asked) as Promise<ReturnType<Reader['report']>>), // as the page says
    )
  }

  /** Closes all tabs. */
  close(): Promise<void> {
    this.#closing ??= this.#profile[Symbol.asyncDispose]()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #join(more: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#joined += 1
    const params = new URLSearchParams({ name: `reader ${this.#joined}`, ...this.#params, ...more })
    await this.#open(`${this.#url}/?${params}`)
  }

  async #open(url: string): Promise<void> {
    await this.recover() // nobody opens a page without a network
    const tab = await this.#profile.open(url)
    await this.#loaded(tab)
    this.#seats.push({ url, tab })
  }

  async #loaded(tab: PlainTab): Promise<void> {
    await tab.until('typeof reader === "object"')
    this.opened += 1
  }

  #at(index: number): Seat {
    return this.#seats[index % this.#seats.length] as Seat // a schedule begins with some
  }
}
