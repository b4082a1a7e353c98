/**
 * What a policy may take from a reader, and when. A reader that keeps up loses nothing: one to which the hub pushes, that
 * has everything, and whose connection has room, is handed whatever comes. One that is asked item by item, by an
 * application's generator, is as far behind as there are events for it when it asks, and what is published in one turn
 * comes to it at once: so it may lose, of what came together, what the policy takes from as many.
 */
import type { LogModel } from './log-model.ts'
import { must } from './must.ts'
import type { Moment } from './watched.ts'
import type { Asked, Place } from './witness.ts'

/**
 * In how many turns the hub knows of what was published, and a reader has caught up whose connection has room: one in
 * which the hub reads, and one for those who waited for it.
 */
const turnsToCatchUp = 2

export class Losses {
  readonly #asked: Asked
  readonly #log: LogModel
  /** The latest turn in which it was somewhere else than where it had been: it begins there, or was told of a gap. */
  #catchesUpIn = -Infinity
  #conflated = 0
  #isCertain = true

  constructor(asked: Asked, log: LogModel) {
    this.#asked = asked
    this.#log = log
  }

  get conflated(): number | null {
    return this.#isCertain ? this.#conflated : null
  }

  /** Null where the policy knows no keys. */
  keyOf(n: number): string | null {
    const { whenSlow } = this.#asked
    return whenSlow !== 'wait' && whenSlow.policy === 'conflate' ? whenSlow.by({ n }) : null
  }

  keyAt(epoch: string, offset: number): string {
    return this.keyOf(this.#log.numberAt(epoch, offset) ?? NaN) ?? ''
  }

  /** Of some, nobody can tell whether they were conflated. */
  isUncertain(): void {
    this.#isCertain = false
  }

  /** It begins somewhere, or elsewhere. */
  catchesUp({ turn }: Moment): void {
    this.#catchesUpIn = turn
  }

  /** Each that is left out has a later one of its key that had come by then. */
  mayConflate(left: readonly number[], { epoch }: Place, moment: Moment): void {
    for (const one of left) {
      const next = this.#nextOfKey(epoch, one)
      const among = this.#behindUpTo(epoch, one, moment)
      must(
        next <= among,
        () => `${one} was conflated with ${next}, and it was behind only up to ${among}: ${this}`,
      )
    }
    this.#conflated += left.length
  }

  /** What is dropped is only what there is beyond `maxLag`. */
  mayDrop(first: number, { epoch, offset }: Place, moment: Moment): void {
    const { whenSlow } = this.#asked
    const maxLag = whenSlow !== 'wait' && whenSlow.policy === 'drop-oldest' ? whenSlow.maxLag : Infinity
    // What retention has taken meanwhile would be lost to anybody.
    const behindUpTo = this.#log.isGone({ epoch, offset: first }, moment)
      ? this.#log.lastAt(epoch, moment)
      : this.#behindUpTo(epoch, first, moment)
    must(
      first <= offset && offset + maxLag <= behindUpTo,
      () => `${first} to ${offset} were dropped, and it was behind only up to ${behindUpTo}: ${this}`,
    )
  }

  /** An event is not given to one that is too far behind to have it. */
  mayStillGive({ epoch, offset }: Place, moment: Moment): void {
    const { whenSlow } = this.#asked
    if (whenSlow === 'wait' || epoch !== moment.epoch) return
    const isKnown = (later: number) => this.#log.turnOf(epoch, later) <= moment.turn - turnsToCatchUp
    if (whenSlow.policy === 'drop-oldest') {
      must(!isKnown(offset + whenSlow.maxLag), () => `${offset} was to be dropped: ${this}`)
    } else if (whenSlow.policy === 'conflate') {
      must(!isKnown(this.#nextOfKey(epoch, offset)), () => `${offset} was to be conflated: ${this}`)
    }
  }

  /** It has taken nothing for the whole time. That it ends then, and not later, is seen where the time goes by. */
  mayDisconnect({ now, stillSince }: Moment): void {
    const { whenSlow } = this.#asked
    const afterMs = whenSlow !== 'wait' && whenSlow.policy === 'disconnect' ? whenSlow.afterMs : Infinity
    const stillMs = stillSince === null ? 0 : now - stillSince
    must(stillMs >= afterMs, () => `STALLED after ${stillMs} ms in which nothing was taken: ${this}`)
  }

  toString(): string {
    return JSON.stringify({ asked: this.#asked, catchesUpIn: this.#catchesUpIn })
  }

  /** How far the events go that may have come while this one had not been taken. */
  #behindUpTo(epoch: string, offset: number, moment: Moment): number {
    const turn = this.#log.turnOf(epoch, offset)
    if (turn < Math.max(moment.roomlessIn, this.#catchesUpIn) + turnsToCatchUp) {
      return this.#log.lastAt(epoch, moment)
    }
    return this.#asked.pushed ? offset - 1 : this.#log.lastOfTurn(epoch, turn)
  }

  /** Offset of the next event of its key; Infinity where there is none. */
  #nextOfKey(epoch: string, offset: number): number {
    const key = this.keyAt(epoch, offset)
    for (let next = offset + 1; ; next++) {
      const n = this.#log.numberAt(epoch, next)
      if (n === undefined) return Infinity
      if (this.#asked.isVisible(n) && this.keyOf(n) === key) return next
    }
  }
}
