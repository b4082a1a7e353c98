import { parseCursor } from '../../../shared/protocol/cursor.ts'
import type { Retention } from '../../../server/stores/store.ts'

/** The next event that somebody is due: its log's epoch (null for that of a log that has no event yet) and offset. */
export interface Due {
  readonly epoch: string | null
  readonly offset: number
  /** How often its log had been wiped, where it has no event yet. */
  readonly wipes?: number
}

/** What was published to one log, and what may be gone of it: the truth that subscribers are held against. */
export class LogModel {
  readonly #lives = new Map<string, { readonly n: number; readonly at: number }[]>()
  #epoch: string | null = null
  #wipes = 0
  readonly #retain: Retention
  readonly #now: () => number

  constructor(retain: Retention, now: () => number) {
    this.#retain = retain
    this.#now = now
  }

  published(id: string, n: number): void {
    const { epoch, offset } = parseCursor(id)
    this.#epoch = epoch
    const life = this.#lives.get(epoch) ?? []
    life[offset - 1] = { n, at: this.#now() }
    this.#lives.set(epoch, life)
  }

  wiped(): void {
    this.#epoch = null
    this.#wipes += 1
  }

  /** The first event of a log that has none. */
  get unborn(): Due {
    return { epoch: null, offset: 1, wipes: this.#wipes }
  }

  get epoch(): string | null {
    return this.#epoch
  }

  /** Offset of the last event; 0 where there is none. */
  get last(): number {
    return this.#life.length
  }

  /** What a subscriber that begins now at the end, or at the start, is due. */
  due(from: 'start' | 'end'): Due {
    const epoch = this.#epoch
    if (epoch === null) return this.unborn
    let offset = this.last + 1
    while (from === 'start' && offset > 1 && !this.isGone({ epoch, offset: offset - 1 })) offset--
    return { epoch, offset }
  }

  numberAt(epoch: string, offset: number): number | undefined {
    return this.#lives.get(epoch)?.[offset - 1]?.n
  }

  /** Whether retention or a wipe may have taken an event. */
  isGone({ epoch, offset, wipes = this.#wipes }: Due): boolean {
    if (epoch === null && wipes !== this.#wipes) return true
    if (epoch !== this.#epoch) return true
    const { maxEvents = Infinity, maxAgeMs = Infinity } = this.#retain
    const published = this.#life[offset - 1]
    return (
      offset <= this.last - maxEvents || (published !== undefined && published.at < this.#now() - maxAgeMs)
    )
  }

  get #life(): readonly { readonly n: number; readonly at: number }[] {
    return (this.#epoch !== null && this.#lives.get(this.#epoch)) || []
  }
}
