/** What one subscriber saw, held against what its policy promises. */
import { expect } from 'vitest'
import type { GapPolicy } from '../../../server/topics/reader.ts'
import type { WhenSlow } from '../../../server/topics/when-slow.ts'
import { isGap, isSnapshot, type Gap } from '../../../shared/items.ts'
import { parseCursor } from '../../../shared/protocol/cursor.ts'
import type { Due, LogModel } from './log-model.ts'
import { Losses } from './losses.ts'
import { must } from './must.ts'
import type { Moment } from './watched.ts'

export interface Numbered {
  readonly n: number
}

/** The state of a topic with a fold: how many events there were, and the last of them. */
export interface Tallied {
  readonly count: number
  readonly last: number
}

export interface Asked {
  readonly whenSlow: WhenSlow<Numbered>
  readonly onGap: GapPolicy
  readonly isVisible: (n: number) => boolean
  /** Whether the hub pushes to it while it keeps up; else an application's generator asks, item by item. */
  readonly pushed: boolean
}

export interface Place {
  readonly epoch: string
  readonly offset: number
}

/** A message as it arrives. */
export interface Heard {
  readonly id: number
  readonly result?: {
    readonly type: 'started' | 'data' | 'stopped'
    readonly position?: string
    readonly data?: { readonly id: string; readonly data: unknown }
  }
  readonly error?: { readonly data: { readonly sluice?: { readonly code: string } } }
}

export class Witness {
  /** Where it would go on. */
  cursor: string | undefined
  at: 'away' | 'asked' | 'started' | 'failed' = 'away'
  readonly #asked: Asked
  readonly #log: LogModel
  /** Null before a state that is to come first. */
  #due: Due | null = null
  /** What is due where the log had no event yet; as of the asking, for what it hears may be on its way for long. */
  #unborn: Due
  /** True until the first event of one that asked for the start: retention may go on meanwhile. */
  #isNew = false
  /** Events that were left out, by offset, until a later one of their key comes. */
  readonly #owed = new Map<number, string>()
  readonly #losses: Losses

  constructor(asked: Asked, log: LogModel) {
    this.#asked = asked
    this.#log = log
    this.#losses = new Losses(asked, log)
    this.#unborn = log.unborn
  }

  /** How many events were conflated into later ones; null where that is not to be known. */
  get conflated(): number | null {
    return this.#losses.conflated
  }

  /** It asks, with its cursor if it has one. */
  asks(from: 'start' | 'end'): void {
    this.at = 'asked'
    this.#unborn = this.#log.unborn
    if (this.cursor !== undefined) return
    this.#isNew = from === 'start'
    this.#due = this.#asked.onGap === 'snapshot' ? null : this.#log.due(from)
    this.#owed.clear()
  }

  /**
   * Takes a message.
   *
   * @param moment of its being handed over. @returns the number of the event, if it is one.
   */
  hear({ result, error }: Heard, moment: Moment): number | undefined {
    must(this.at !== 'away', 'a message after the last word')
    if (error) return this.#fail(error.data.sluice?.code, moment)
    switch (result?.type) {
      case 'started':
        must(this.at === 'asked', 'started once')
        this.at = 'started'
        this.#losses.catchesUp(moment)
        if (result.position !== undefined) this.#begin(result.position, moment)
        return undefined
      case 'stopped':
        this.at = 'away'
        return undefined
      case 'data': {
        must(this.at === 'started', 'an event before the start')
        const { id, data } = result.data as NonNullable<typeof result.data>
        this.cursor = id
        const { epoch, offset } = parseCursor(id)
        if (isGap(data)) this.#missed(data, { epoch, offset }, moment)
        else if (isSnapshot<Tallied>(data)) this.#isGiven(data.state, { epoch, offset }, moment)
        else return this.#see((data as Numbered).n, { epoch, offset }, moment)
        this.#losses.catchesUp(moment)
        // What was conflated by then may be of what is left behind here.
        if (this.#due) this.#losses.isUncertain()
        this.#isNew = false
        this.#owed.clear()
        // A log without events has no epoch yet.
        const isBorn = this.#log.numberAt(epoch, 1) !== undefined
        this.#due = isBorn ? { epoch, offset: offset + 1 } : this.#unborn
        return undefined
      }
      default:
        throw new Error(`A message of no known kind: ${JSON.stringify(result)}`)
    }
  }

  /** True when nothing is due any more, or it has left. */
  get isContent(): boolean {
    if (this.at === 'away') return true
    if (!this.#due || this.at !== 'started' || this.#owed.size > 0) return false
    const { epoch, offset } = this.#dueIn(this.#log.epoch)
    if (epoch !== null && epoch !== this.#log.epoch) return false
    return this.#visibleBetween(this.#log.epoch, offset, this.#log.last + 1).length === 0
  }

  toString(): string {
    return JSON.stringify({ at: this.at, due: this.#due, owed: [...this.#owed], asked: this.#asked })
  }

  #begin(position: string, moment: Moment): void {
    this.cursor = position
    const { epoch, offset } = parseCursor(position)
    // It is before the first event of all.
    if (this.#due?.epoch === null && this.#log.numberAt(epoch, 1) === undefined) this.#isNew = false
    if (this.#due?.epoch !== epoch) return
    const left = this.#notSeen(epoch, this.#due.offset, offset + 1, moment)
    must(left.length === 0, () => `it begins after ${offset}, without ${left.join()}`)
    if (!this.#isNew) expect(offset + 1).toBe(this.#due.offset)
    // From here on it is known where it is, and what retention takes it is to be told of.
    this.#isNew = false
    this.#due = { epoch, offset: offset + 1 }
  }

  #see(n: number, place: Place, moment: Moment): undefined | number {
    const { epoch, offset } = place
    must(this.#due !== null, 'an event before the state')
    const due = this.#dueIn(epoch)
    must(this.#log.numberAt(epoch, offset) === n, () => `${n} is not the event ${offset} of ${epoch}`)
    must(this.#asked.isVisible(n), () => `${n} was to be left out`)
    must(due.epoch === null || epoch === due.epoch, () => `another life of the log without a word: ${epoch}`)
    must(offset >= due.offset, () => `${offset} is repeated or out of order: ${this}`)
    const left = this.#notSeen(epoch, due.offset, offset, moment)
    const key = this.#losses.keyOf(n)
    if (key === null) {
      must(left.length === 0, () => `missing before ${offset}: ${left.join()}`)
    } else {
      this.#losses.mayConflate(left, place, moment)
      for (const one of left) this.#owed.set(one, this.#losses.keyAt(epoch, one))
      for (const [one, owed] of this.#owed) if (owed === key) this.#owed.delete(one)
    }
    this.#losses.mayStillGive(place, moment)
    this.#isNew = false
    this.#due = { epoch, offset: offset + 1 }
    return n
  }

  #missed(gap: Gap, place: Place, moment: Moment): void {
    if (gap.reason !== 'dropped') {
      expect(this.#asked.onGap).toBe('latest')
      return this.#isRight(gap.reason, moment)
    }
    const { epoch, offset } = place
    const due = this.#dueIn(epoch)
    must(due.epoch === null || epoch === due.epoch, () => `dropped in another life of the log: ${epoch}`)
    const first = offset - gap.dropped + 1
    must(first >= due.offset, () => `${gap.dropped} are not all that were left out before ${offset}: ${this}`)
    // What lies before those that were dropped, it has seen, or did not want to see.
    const left = this.#notSeen(epoch, due.offset, first, moment)
    must(left.length === 0, () => `missing before ${first}, and not among the ${gap.dropped}: ${left.join()}`)
    this.#losses.mayDrop(first, place, moment)
  }

  #isGiven(state: Tallied, { epoch, offset }: Place, moment: Moment): void {
    expect(this.#asked.onGap).toBe('snapshot')
    if (this.#due && !this.#isNew) must(this.#log.isGone(this.#due, moment), 'a state with nothing gone')
    expect(state).toEqual({ count: offset, last: this.#log.numberAt(epoch, offset) ?? 0 })
  }

  #fail(code: string | undefined, moment: Moment): undefined {
    must(this.at === 'started', 'one error, and after the start')
    this.at = 'failed'
    if (code === 'STALLED') {
      this.#losses.mayDisconnect(moment)
    } else {
      expect(code).toBe('GAP')
      expect(this.#asked.onGap).toBe('error')
      this.#isRight('trimmed', moment)
      this.#losses.isUncertain()
      this.cursor = undefined
    }
  }

  /** Nobody is told of a gap whose next event was there. */
  #isRight(reason: 'trimmed' | 'reborn', moment: Moment): void {
    const due = this.#due as Due
    must(this.#log.isGone(due, moment), () => `a gap: ${reason}, due: ${JSON.stringify(due)}`)
  }

  /** Of those that it was due: retention may go on under one that has just asked for the start. */
  #notSeen(epoch: string, from: number, to: number, moment: Moment): number[] {
    const left = this.#visibleBetween(epoch, from, to)
    if (!this.#isNew) return left
    const retained = left.filter(offset => !this.#log.isGone({ epoch, offset }, moment))
    if (retained.length < left.length) this.#losses.isUncertain()
    return retained
  }

  /** Where one that is new begins is seen only by what comes first: a wipe may have come in between. */
  #dueIn(epoch: string | null): Due {
    const due = this.#due as Due
    return this.#isNew && due.epoch !== epoch ? { epoch, offset: 1 } : due
  }

  #visibleBetween(epoch: string | null, from: number, to: number): number[] {
    if (epoch === null) return []
    const offsets = Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i)
    return offsets.filter(offset => this.#asked.isVisible(this.#log.numberAt(epoch, offset) ?? NaN))
  }
}
