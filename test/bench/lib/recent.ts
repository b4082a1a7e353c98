import type { Event } from './event.ts'

/** As many as our topic retains. */
export const retained = 2_048

/** What an application keeps by hand, where its library keeps nothing: the recent events, for those who come back. */
export class Recent {
  readonly #events: Event[] = []

  push(event: Event): void {
    this.#events.push(event)
    if (this.#events.length > retained) this.#events.shift()
  }

  /** What came after a cursor; nothing for a newcomer. */
  after(cursor: string | undefined): readonly Event[] {
    return cursor === undefined ? [] : this.#events.filter(({ n }) => n > Number(cursor))
  }
}
