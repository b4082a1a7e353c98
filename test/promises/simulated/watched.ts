/** What was so on the server when it handed something over: by then, and not when it arrives, a policy has decided. */
import type { TRPCErrorShape } from '@trpc/server/rpc'
import type { Batch, Replies } from '../../../server/procedures/replies.ts'
import type { Outgoing } from '../../../server/topics/sink.ts'
import type { Lag } from '../../../shared/items.ts'
import type { LogMoment, Time } from './log-model.ts'

export interface Moment extends LogMoment {
  /** The latest turn of the event loop in which the connection had no room, this one included. */
  readonly roomlessIn: number
  /** Since when it has had none and taken nothing of what waits, in milliseconds; null while it has room. */
  readonly stillSince: number | null
}

/** Since when a connection has had no room, and when it took something. It is to look whenever that may have changed. */
export class RoomWatch {
  roomlessIn = -Infinity
  roomlessSince: number | null = null
  /** How often it has lost its room. */
  losses = 0
  takenBytes = 0
  tookAt = -Infinity
  readonly #outlet: Watching
  readonly #time: Time

  constructor(outlet: Watching, time: Time) {
    this.#outlet = outlet
    this.#time = time
  }

  /** How many bytes will have been taken when all that waits now has been. */
  get lastByte(): number {
    return this.#outlet.takenBytes + this.#outlet.bufferedBytes
  }

  look(): void {
    const { takenBytes } = this.#outlet
    if (takenBytes > this.takenBytes) this.tookAt = this.#time.now
    this.takenBytes = takenBytes
    if (this.#outlet.room) {
      this.roomlessIn = this.#time.turn
      if (this.roomlessSince !== null) return
      this.roomlessSince = this.#time.now
      this.losses++
    } else {
      this.roomlessSince = null
    }
  }
}

/** The part of an outlet that is looked at. */
export interface Watching extends Outgoing {
  readonly room: Promise<void> | null
}

/** How much longer than its time one may wait that has taken something: that is seen at the next look, of four. */
const untilSeen = 1.25

/** Stands between a subscription and its answers. */
export class Watched implements Replies {
  /** It has been told to end by itself, or from outside. */
  over = false
  /** How many events its gaps have said to be dropped. */
  dropped = 0
  stalled = 0
  /** How often something was handed over after its last word. The server would take a complaint for one of an encoder. */
  tooLate = 0
  /** When it was handed something last, in milliseconds, and for which loss of room it waits since then. */
  #handedAt = 0
  #waitsFor: number | null = null
  /** The last byte that was before it then, how far they have been taken, and when the latest of them was. */
  #lastByte = 0
  #takenBytes = 0
  #tookAt = -Infinity
  readonly #answers: Replies
  readonly #room: RoomWatch
  readonly #logAsOfNow: () => LogMoment
  /** Of what is on its way. */
  readonly #moments: Moment[] = []
  #failed = false

  constructor(answers: Replies, room: RoomWatch, logAsOfNow: () => LogMoment) {
    this.#answers = answers
    this.#room = room
    this.#logAsOfNow = logAsOfNow
  }

  /** Something of it arrives, which is the next that was handed over. */
  arrives(): Moment {
    const moment = this.#moments.shift()
    if (!moment) throw new Error('Something arrived that was not handed over.')
    return moment
  }

  /** To be called whenever its connection may have taken something. */
  look(): void {
    const takenBytes = Math.min(this.#room.takenBytes, this.#lastByte)
    if (takenBytes > this.#takenBytes) this.#tookAt = this.#room.tookAt
    this.#takenBytes = takenBytes
  }

  /**
   * Whether it has waited for room for so long, in milliseconds, while its connection took nothing. Who was handed nothing
   * may have nothing to hand over.
   */
  hasWaited(afterMs: number, now: number): boolean {
    const { roomlessSince, losses, tookAt } = this.#room
    if (roomlessSince === null || this.#waitsFor !== losses) return false
    const hasTaken = tookAt >= this.#handedAt
    return now - (hasTaken ? tookAt : this.#handedAt) >= (hasTaken ? afterMs * untilSeen : afterMs)
  }

  started(position: string | null): void {
    this.#hand(1, () => this.#answers.started(position))
  }

  next(value: unknown): void {
    this.#note(value)
    this.#hand(1, () => this.#answers.next(value))
  }

  push(batch: Batch<unknown>): void {
    for (const envelope of batch.envelopes) this.#note(envelope)
    this.#hand(batch.envelopes.length, () => this.#answers.push(batch))
  }

  lag(latest: () => Lag | null): Promise<void> {
    return this.#answers.lag(latest)
  }

  error(shape: TRPCErrorShape): void {
    if (isStall(shape)) this.stalled++
    this.#hand(1, () => this.#answers.error(shape))
    this.#failed = true
  }

  returned(): void {
    this.stopped()
  }

  stopped(): void {
    this.#failed = false
    this.#hand(1, () => this.#answers.stopped())
    this.over = true
  }

  get room(): Promise<void> | null {
    return this.#answers.room
  }

  get outgoing(): Replies['outgoing'] {
    return this.#answers.outgoing
  }

  get capacity(): number {
    return this.#answers.capacity
  }

  #note(envelope: unknown): void {
    const item = (envelope as readonly [string, { readonly dropped?: number }])[1] // tracked, each of them
    this.dropped += item.dropped ?? 0
  }

  #hand(count: number, hand: () => void): void {
    if (this.over || this.#failed) this.tooLate++
    this.#room.look()
    this.look()
    const { roomlessIn, roomlessSince } = this.#room
    const stillSince = roomlessSince === null ? null : Math.max(roomlessSince, this.#tookAt)
    const moment = { ...this.#logAsOfNow(), roomlessIn, stillSince }
    hand()
    for (let i = 0; i < count; i++) this.#moments.push(moment)
    this.#room.look()
    this.#handedAt = moment.now
    this.#waitsFor = this.#room.roomlessSince === null ? null : this.#room.losses
    this.#lastByte = this.#room.lastByte
    this.#takenBytes = this.#room.takenBytes
  }
}

function isStall(shape: TRPCErrorShape): boolean {
  const { sluice } = shape.data as { readonly sluice?: { readonly code: string } }
  return sluice?.code === 'STALLED'
}
