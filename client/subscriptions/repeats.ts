/**
 * Tells events that come a second time because the subscription was asked for again. Within one life of a connection
 * an id may be used twice, and both are delivered, as with tRPC's own links: there an id is the application's business.
 */

/** How many ids are remembered: more than a server sends again that resumes a little early. */
const maxRemembered = 1_000

export class Repeats {
  /** What was received in this life, and in those before it; oldest first. */
  #now = new Set<string>()
  #before = new Set<string>()

  /** From now on, what was received before is a repeat. */
  expect(): void {
    this.#before = new Set([...this.#before, ...this.#now].slice(-maxRemembered))
    this.#now = new Set()
  }

  /** Whether this id came in an earlier life; it is remembered as one of this life from now on. */
  isRepeat(id: string): boolean {
    const repeat = this.#before.delete(id)
    this.#now.add(id)
    if (this.#now.size > maxRemembered) {
      const oldest = this.#now.keys().next()
      if (!oldest.done) this.#now.delete(oldest.value)
    }
    return repeat
  }
}
