/**
 * Tells events that come a second time because the subscription was asked for again. Within one life of a connection
 * an id may be used twice, and both are delivered, as with tRPC's own links: there an id is the application's business.
 */

/** How many ids are remembered: more than a server sends again that resumes a little early. */
const maxRemembered = 1_000

export class Repeats {
  /** What was received in this life, the newest and those before, and in the lives before it; oldest first. */
  #newest = new Set<string>()
  #older = new Set<string>()
  #before = new Set<string>()

  /** From now on, what was received before is a repeat. */
  expect(): void {
    this.#before = new Set([...this.#before, ...this.#older, ...this.#newest].slice(-maxRemembered))
    this.#older = new Set()
    this.#newest = new Set()
  }

  /** Whether this id came in an earlier life; it is remembered as one of this life from now on. */
  isRepeat(id: string): boolean {
    const repeat = this.#before.delete(id)
    this.#newest.add(id)
    // A thousand at once, and not the oldest of a thousand each time: 0.2 µs for 0.6 (Node 20).
    if (this.#newest.size === maxRemembered) {
      this.#older = this.#newest
      this.#newest = new Set()
    }
    return repeat
  }
}
