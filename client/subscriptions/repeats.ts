/**
 * Tells events that come a second time because the subscription was asked for again. Within one life of a connection
 * an id may be used twice, and both are delivered, as with tRPC's own links: there an id is the application's business.
 */

/** How many ids are remembered: more than a server sends again that resumes a little early. */
const maxRemembered = 1_000

export class Repeats {
  /** The ids received, oldest first, each with the life in which it came. */
  readonly #lives = new Map<string, number>()
  #life = 0

  /** From now on, what was received before is a repeat. */
  expect(): void {
    this.#life += 1
  }

  /** Whether this id came in an earlier life; it is remembered as one of this life from now on. */
  isRepeat(id: string): boolean {
    const life = this.#lives.get(id)
    if (life === undefined && this.#lives.size >= maxRemembered) {
      const oldest = this.#lives.keys().next()
      if (!oldest.done) this.#lives.delete(oldest.value)
    }
    this.#lives.set(id, this.#life)
    return life !== undefined && life < this.#life
  }
}
