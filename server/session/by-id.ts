/**
 * Things by their ids: a list while there are few, in which looking is as quick. A `Map` in which as many come as go is
 * copied all the time (see linked-list.ts).
 */
import type { RequestId } from '../../shared/protocol/messages.ts'

const few = 32

export class ById<Thing extends { readonly id: RequestId | null }> {
  readonly #few: Thing[] = []
  /** All of them, once there are more. */
  #many: Map<RequestId | null, Thing> | null = null

  get size(): number {
    return this.#many?.size ?? this.#few.length
  }

  get(id: RequestId): Thing | undefined {
    return this.#many ? this.#many.get(id) : this.#few.find(thing => thing.id === id)
  }

  /** @param thing whose id is not in here. */
  add(thing: Thing): void {
    if (this.#few.length === few) this.#many = new Map(this.#few.splice(0).map(each => [each.id, each]))
    if (this.#many) this.#many.set(thing.id, thing)
    else this.#few.push(thing)
  }

  delete(thing: Thing): void {
    if (this.#many) {
      this.#many.delete(thing.id)
      if (this.#many.size === 0) this.#many = null
      return
    }
    const at = this.#few.indexOf(thing)
    if (at !== -1) this.#few.splice(at, 1)
  }

  values(): Iterable<Thing> {
    return this.#many?.values() ?? this.#few
  }
}
