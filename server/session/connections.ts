/** All open connections of one server: for its numbers, their age, its drain and its end. */
import { settlesWithin } from '../grace.ts'
import { sleep, type Clock, type Timer } from '../../shared/clock.ts'
import { Link, LinkedList } from '../linked-list.ts'
import type { Feeding } from '../topics/sink.ts'
import type { Admission } from './admission.ts'
import { Stalls, type Pending } from './stalls.ts'

export type { Feeding }

export interface Connection {
  readonly carrier: 'websocket' | 'stream' | 'sse'
  readonly bufferedBytes: number
  /** Of one that is a response, what it has before the network; null until its head is sent. */
  readonly pending?: Pending | null
  /** True while it has a subscription or a call in hand. */
  readonly busy: boolean
  /** Its place among the open ones, which keep it there. */
  place: Place | null
  /** Those of its subscriptions that are pushed to. */
  feeding(): Iterable<Feeding>
  /**
   * Asks the peer to connect anew, and to resume there. Ends nothing that the peer would not come back to.
   *
   * @param withinMs it may choose the moment itself within so many milliseconds, where it understands that.
   */
  dismiss(withinMs?: number): void
  /**
   * Ends all subscriptions and then the connection; settles when they have ended, or overstayed. Never rejects.
   * However it ends, it is removed from the open ones when everything of it has ended.
   */
  close(): Promise<void>
}

/** An open connection. */
export class Place extends Link {
  /** For the time at which it is to leave for its age. */
  age: Timer | null = null

  constructor(
    readonly connection: Connection,
    readonly address: string | null,
  ) {
    super()
  }
}

/** Connections that were opened at one moment, after a deploy say, are not all to end at one moment, too. */
const ageJitter = 0.2

/** How long one that was asked to leave for its age may take, in milliseconds: it moves over in a moment. */
const leaveMs = 30_000

export interface ConnectionsOptions {
  readonly admission: Admission
  /** In milliseconds; undefined: for ever. */
  readonly maxAgeMs: number | undefined
  /** For how long a response may take nothing of what waits for it, in milliseconds. */
  readonly stallMs: number
  /** A response is cut off for that. */
  readonly onStalled: () => void
  readonly clock: Clock
}

export class Connections implements Iterable<Connection> {
  readonly #open = new LinkedList<Place>()
  readonly #admission: Admission
  readonly #maxAgeMs: number | undefined
  readonly #stalls: Stalls
  readonly #clock: Clock
  /** Those who wait for the moment in which nothing is in hand. */
  readonly #waiting = new Set<() => void>()

  constructor({ admission, maxAgeMs, stallMs, onStalled, clock }: ConnectionsOptions) {
    this.#admission = admission
    this.#maxAgeMs = maxAgeMs
    this.#clock = clock
    this.#stalls = new Stalls({ afterMs: stallMs, clock, onStalled, open: () => this.#pending() })
  }

  /**
   * Keeps a connection until it is removed, and sees to it that it does not grow too old.
   *
   * @param address null for one that is not counted by address.
   */
  add(connection: Connection, address: string | null): void {
    const place = new Place(connection, address)
    connection.place = place
    this.#open.add(place)
    this.#admission.count(address, 1)
    if (this.#maxAgeMs !== undefined) this.#watchAge(place, this.#maxAgeMs)
    if (connection.pending !== undefined) this.#stalls.watch()
  }

  /** The connection is gone, and everything of it has ended. */
  remove(connection: Connection): void {
    const { pending, place } = connection
    if (!place) return
    connection.place = null
    place.unlink()
    place.age?.cancel()
    this.#admission.count(place.address, -1)
    if (pending) this.#stalls.leaves(pending)
    this.checkCalm()
  }

  *#pending(): Iterable<Pending | null> {
    for (const { pending } of this) if (pending !== undefined) yield pending
  }

  #watchAge(place: Place, maxAgeMs: number): void {
    const clock = this.#clock
    const { connection } = place
    const old = () => {
      place.age = clock.after(leaveMs, () => void connection.close()) // never rejects
      connection.dismiss()
    }
    place.age = clock.after(maxAgeMs * (1 - ageJitter * clock.random()), old)
  }

  /** None may leave while they are gone through. */
  *[Symbol.iterator](): Iterator<Connection> {
    for (const { connection } of this.#open) yield connection
  }

  /** Asks all that are open now to leave, one after another, evenly over so many milliseconds. */
  async dismiss(spreadMs: number): Promise<void> {
    const clock = this.#clock
    const startedAt = clock.now()
    const leaving = [...this]
    for (const [index, connection] of leaving.entries()) {
      const waitMs = startedAt + (spreadMs * index) / leaving.length - clock.now()
      if (waitMs > 0) await sleep(clock, waitMs)
      connection.dismiss()
    }
  }

  /** Waits until no connection has anything in hand, or the time is over. */
  async calm(withinMs: number): Promise<void> {
    if (!this.#busy) return
    let onCalm = () => {}
    const calm = new Promise<void>(resolve => (onCalm = resolve))
    this.#waiting.add(onCalm)
    await settlesWithin(calm, withinMs, this.#clock)
    this.#waiting.delete(onCalm)
  }

  /** A connection says that something of it has ended. */
  checkCalm(): void {
    // Counting is for those who wait only: this is called after each answer.
    if (this.#waiting.size === 0 || this.#busy) return
    for (const onCalm of this.#waiting) onCalm()
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this, connection => connection.close()))
  }

  get #busy(): boolean {
    for (const { busy } of this) if (busy) return true
    return false
  }
}
