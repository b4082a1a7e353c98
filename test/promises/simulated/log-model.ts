import { parseCursor } from '../../../shared/protocol/cursor.ts'
import type { Retention } from '../../../server/stores/store.ts'

/** The next event that somebody is due: its log's epoch (null for that of a log that has no event yet) and offset. */
export interface Due {
  readonly epoch: string | null
  readonly offset: number
  /** How often its log had been wiped, where it has no event yet. */
  readonly wipes?: number
}

export interface Time {
  /** Of the event loop, since the beginning. */
  readonly turn: number
  /** In milliseconds. */
  readonly now: number
}

/** What may be known of a log at one moment, and what not. */
export interface LogMoment extends Time {
  readonly epoch: string | null
  readonly wipes: number
  /** Offset of the last event that may be in it: one that is being published may be, or not yet. */
  readonly last: number
}

interface Published {
  readonly n: number
  readonly at: number
  readonly turn: number
}

/** What was published to one log, and what may be gone of it: the truth that subscribers are held against. */
export class LogModel {
  readonly #lives = new Map<string, Published[]>()
  #epoch: string | null = null
  #wipes = 0
  readonly #retain: Retention
  readonly #time: Time
  #publishing = 0

  constructor(retain: Retention, time: Time) {
    this.#retain = retain
    this.#time = time
  }

  /** So many events are about to be. */
  publishes(count: number): void {
    this.#publishing += count
  }

  published(id: string, n: number): void {
    const { epoch, offset } = parseCursor(id)
    const { now: at, turn } = this.#time
    this.#epoch = epoch
    this.#publishing--
    const life = this.#lives.get(epoch) ?? []
    life[offset - 1] = { n, at, turn }
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

  asOfNow(): LogMoment {
    const { turn, now } = this.#time
    const last = this.last + this.#publishing
    return { turn, now, epoch: this.#epoch, wipes: this.#wipes, last }
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

  /** Offset of the last event that may have been there at a moment. */
  lastAt(epoch: string, moment: LogMoment): number {
    return epoch === moment.epoch ? moment.last : (this.#lives.get(epoch)?.length ?? 0)
  }

  /** The turn in which an event was published; Infinity for one that has not been. */
  turnOf(epoch: string, offset: number): number {
    return this.#lives.get(epoch)?.[offset - 1]?.turn ?? Infinity
  }

  /** Offset of the last of those that were published in one turn. */
  lastOfTurn(epoch: string, turn: number): number {
    const life = this.#lives.get(epoch) ?? []
    return life.findLastIndex(published => published.turn <= turn) + 1
  }

  /** Whether retention or a wipe may have taken an event by a moment. */
  isGone(due: Due, moment = this.asOfNow()): boolean {
    const { offset, wipes = moment.wipes } = due
    if (due.epoch === null && wipes !== moment.wipes) return true
    const epoch = due.epoch ?? moment.epoch
    if (epoch !== moment.epoch) return true
    const { maxEvents = Infinity, maxAgeMs = Infinity } = this.#retain
    const published = epoch === null ? undefined : this.#lives.get(epoch)?.[offset - 1]
    return (
      offset <= moment.last - maxEvents || (published !== undefined && published.at < moment.now - maxAgeMs)
    )
  }

  get #life(): readonly Published[] {
    return (this.#epoch !== null && this.#lives.get(this.#epoch)) || []
  }
}
