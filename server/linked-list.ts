/**
 * A list whose members come and go all the time. They know their neighbours, so nothing is made or copied for that. (A
 * `Map` or `Set` is copied each time that as many have gone as are in it, and copies that V8 has let grow old keep what is
 * in the later ones: of the 30 µs that a short subscription takes, 2 went into collecting that, and a connection that had
 * long been closed was carried along with its socket; Node 20.)
 */

/** What can be in one list at a time. */
export class Link {
  /** Its neighbours; itself while it is in no list. */
  before: Link = this
  after: Link = this

  get isLinked(): boolean {
    return this.after !== this
  }

  /** Harmless where it is in none. */
  unlink(): void {
    this.before.after = this.after
    this.after.before = this.before
    // Else those who have left would hold each other.
    this.before = this
    this.after = this
  }
}

export class LinkedList<Member extends Link> implements Iterable<Member> {
  /** Stands between the last one and the first. */
  readonly #head = new Link()

  get first(): Member | null {
    return this.#memberOf(this.#head.after)
  }

  /** As the last one, wherever it was before. */
  add(member: Member): void {
    member.unlink()
    const head = this.#head
    member.before = head.before
    member.after = head
    head.before.after = member
    head.before = member
  }

  /** From the first on. The one at hand may leave, and none else. */
  *[Symbol.iterator](): Iterator<Member> {
    for (let one = this.first; one;) {
      const next = this.#memberOf(one.after)
      yield one
      one = next
    }
  }

  #memberOf(link: Link): Member | null {
    return link === this.#head ? null : (link as Member) // only members are added
  }
}
