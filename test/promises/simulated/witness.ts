/** What one subscriber saw, held against what its policy promises. */
import { expect } from 'vitest'
import type { GapPolicy } from '../../../server/topics/reader.ts'
import type { WhenSlow } from '../../../server/topics/when-slow.ts'
import { isGap, isSnapshot, type Gap } from '../../../shared/items.ts'
import { parseCursor } from '../../../shared/protocol/cursor.ts'
import type { Due, LogModel } from './log-model.ts'

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

  constructor(asked: Asked, log: LogModel) {
    this.#asked = asked
    this.#log = log
    this.#unborn = log.unborn
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

  /** Takes a message. @returns the number of the event, if it is one. */
  hear({ result, error }: Heard): number | undefined {
    must(this.at !== 'away', 'a message after the last word')
    if (error) return this.#fail(error.data.sluice?.code)
    switch (result?.type) {
      case 'started':
        must(this.at === 'asked', 'started once')
        this.at = 'started'
        if (result.position !== undefined) this.#begin(result.position)
        return undefined
      case 'stopped':
        this.at = 'away'
        return undefined
      case 'data': {
        must(this.at === 'started', 'an event before the start')
        const { id, data } = result.data as NonNullable<typeof result.data>
        this.cursor = id
        const { epoch, offset } = parseCursor(id)
        if (isGap(data)) this.#missed(data, { epoch, offset })
        else if (isSnapshot<Tallied>(data)) this.#isGiven(data.state, { epoch, offset })
        else return this.#see((data as Numbered).n, { epoch, offset })
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

  #begin(position: string): void {
    this.cursor = position
    const { epoch, offset } = parseCursor(position)
    if (this.#isNew || this.#due?.epoch !== epoch) return
    expect(offset + 1).toBe(this.#due.offset)
  }

  #see(n: number, { epoch, offset }: { epoch: string; offset: number }): undefined | number {
    must(this.#due !== null, 'an event before the state')
    const due = this.#dueIn(epoch)
    must(this.#log.numberAt(epoch, offset) === n, () => `${n} is not the event ${offset} of ${epoch}`)
    must(this.#asked.isVisible(n), () => `${n} was to be left out`)
    must(due.epoch === null || epoch === due.epoch, () => `another life of the log without a word: ${epoch}`)
    must(offset >= due.offset, () => `${offset} is repeated or out of order: ${this}`)
    const left = this.#visibleBetween(epoch, due.offset, offset)
    const key = this.#keyOf(n)
    if (key === null) {
      const missing = this.#isNew ? left.filter(one => !this.#log.isGone({ epoch, offset: one })) : left
      must(missing.length === 0, () => `missing before ${offset}: ${missing.join()}`)
    } else {
      for (const one of left) this.#owed.set(one, this.#keyOf(this.#log.numberAt(epoch, one) ?? NaN) ?? '')
      for (const [one, owed] of this.#owed) if (owed === key) this.#owed.delete(one)
    }
    this.#isNew = false
    this.#due = { epoch, offset: offset + 1 }
    return n
  }

  #missed(gap: Gap, { epoch, offset }: { epoch: string; offset: number }): void {
    const { whenSlow, onGap } = this.#asked
    const due = this.#due as Due
    if (gap.reason === 'dropped') {
      expect(whenSlow).toMatchObject({ policy: 'drop-oldest' })
      if (due.epoch !== null && !this.#isNew) expect(epoch).toBe(due.epoch)
      expect(gap.dropped).toBeGreaterThan(0)
      // What lies before those that were dropped, it has seen, or did not want to see.
      const left = this.#visibleBetween(epoch, due.offset, offset - gap.dropped + 1)
      expect(this.#isNew ? [] : left).toEqual([])
    } else {
      expect(onGap).toBe('latest')
      this.#isRight(gap.reason)
    }
  }

  #isGiven(state: Tallied, { epoch, offset }: { epoch: string; offset: number }): void {
    expect(this.#asked.onGap).toBe('snapshot')
    if (this.#due && !this.#isNew) expect(this.#log.isGone(this.#due)).toBe(true)
    expect(state).toEqual({ count: offset, last: this.#log.numberAt(epoch, offset) ?? 0 })
  }

  #fail(code: string | undefined): undefined {
    this.at = 'failed'
    if (code === 'STALLED') {
      expect(this.#asked.whenSlow).toMatchObject({ policy: 'disconnect' })
    } else {
      expect(code).toBe('GAP')
      expect(this.#asked.onGap).toBe('error')
      this.#isRight('trimmed')
      this.cursor = undefined
    }
  }

  /** Nobody is told of a gap whose next event was there. */
  #isRight(reason: 'trimmed' | 'reborn'): void {
    const due = this.#due as Due
    expect(this.#log.isGone(due), `a gap: ${reason}, due: ${JSON.stringify(due)}`).toBe(true)
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

  #keyOf(n: number): string | null {
    const { whenSlow } = this.#asked
    return whenSlow !== 'wait' && whenSlow.policy === 'conflate' ? whenSlow.by({ n }) : null
  }
}

/** Cheaper than `expect`, for what is asked of each of a million events. */
function must(isSo: boolean, otherwise: string | (() => string)): void {
  if (!isSo) throw new Error(typeof otherwise === 'string' ? otherwise : otherwise())
}
