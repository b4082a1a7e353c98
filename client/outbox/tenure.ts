/**
 * The time in which an outbox has one link. Whatever is stored has an owner, and is sent by whoever has the claim on
 * that: of what is added during a tenure, the tenure itself. When it ends it lets go, and so does a page that ends in
 * any way. A claim that can be had is thus on what nobody sends any more, so a tenure looks for such claims, first of
 * all and then now and then, and the outbox adopts what they are on.
 */
import type { Timer } from '../../shared/clock.ts'
import type { SendRequest } from '../http.ts'
import type { ResolvedOptions } from '../options.ts'
import type { StoredMutation, WatchedStorage } from './storage.ts'

/** What the link hands over, that is the way out. */
export interface OutboxRoute {
  readonly send: SendRequest
  readonly options: ResolvedOptions
}

export interface TenureOptions {
  readonly route: OutboxRoute
  readonly storage: WatchedStorage
  /** After each look: what has been found is to be sent from here, the oldest first. */
  readonly adopt: (left: readonly StoredMutation[]) => void
  readonly onError: (thrown: unknown) => void
}

/** How often one looks for mutations of pages that have ended, in milliseconds. */
const lookEveryMs = 10_000

export class Tenure {
  /** Of what is added now: to the next tenure, what is left of it is as that of another page. */
  readonly owner = crypto.randomUUID()
  readonly #options: TenureOptions
  /** Those whose mutations are ours to send, ourselves included, and how to let go of each. */
  readonly #claims = new Map<string, () => void>()
  #lookTimer: Timer | null = null
  #looked = false
  #over = false

  /** Looks at once. */
  constructor(options: TenureOptions) {
    this.#options = options
    void this.#look()
  }

  get route(): OutboxRoute {
    return this.#options.route
  }

  /** Whether all that was left behind before has been adopted. */
  get looked(): boolean {
    return this.#looked
  }

  /** Nothing is adopted any more. The claims are let go of once what is being written is there for the next one. */
  end(): void {
    this.#over = true
    this.#lookTimer?.cancel()
    void this.#letGo()
  }

  async #look(): Promise<void> {
    const { route, adopt, onError } = this.#options
    try {
      const left = await this.#takeOver()
      if (this.#over) return
      this.#looked = true
      adopt(left)
    } catch (thrown) {
      onError(thrown)
    } finally {
      if (!this.#over) this.#lookTimer = route.options.clock.after(lookEveryMs, () => void this.#look())
    }
  }

  /** Claims what can be had, and tells what that is, the oldest first. */
  async #takeOver(): Promise<readonly StoredMutation[]> {
    const { storage } = this.#options
    if (!this.#claims.has(this.owner)) await this.#claim(this.owner)
    await storage.written() // what was added in an earlier tenure
    if (this.#over) return [] // or its claims would be in the way of the next one's
    const owners = new Set<string>()
    for (const { owner } of await storage.load()) {
      if (!this.#claims.has(owner) && (await this.#claim(owner))) owners.add(owner)
    }
    if (owners.size === 0) return []
    // Anew: until it was ours, its owner may have put more there.
    const left = (await storage.load()).filter(({ owner }) => owners.has(owner))
    return left.toSorted((a, b) => a.at - b.at || a.number - b.number)
  }

  async #claim(owner: string): Promise<boolean> {
    const release = await this.#options.storage.claim(owner)
    if (release === null) return false
    if (this.#over) release()
    else this.#claims.set(owner, release)
    return !this.#over
  }

  async #letGo(): Promise<void> {
    await this.#options.storage.written()
    for (const release of this.#claims.values()) release()
  }
}
