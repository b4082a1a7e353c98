/** All open connections of one server: for its numbers, their age, its drain and its end. */
import { settlesWithin } from '../grace.ts'
import { sleep, type Clock, type Timer } from '../../shared/clock.ts'
import type { Feeding } from '../topics/sink.ts'
import type { Admission } from './admission.ts'

export type { Feeding }

export interface Connection {
  readonly carrier: 'websocket' | 'stream' | 'sse'
  readonly bufferedBytes: number
  /** True while it has a subscription or a call in hand. */
  readonly busy: boolean
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

/** Connections that were opened at one moment, after a deploy say, are not all to end at one moment, too. */
const ageJitter = 0.2

/** How long one that was asked to leave for its age may take, in milliseconds: it moves over in a moment. */
const leaveMs = 30_000

export class Connections implements Iterable<Connection> {
  /** With the address of each, for the limit. */
  readonly #open = new Map<Connection, string | null>()
  readonly #admission: Admission
  /** What they wait for to grow too old, where that is watched. */
  readonly #ages = new Map<Connection, Timer>()
  readonly #maxAgeMs: number | undefined
  readonly #clock: Clock
  /** Those who wait for the moment in which nothing is in hand. */
  readonly #waiting = new Set<() => void>()

  constructor(admission: Admission, maxAgeMs: number | undefined, clock: Clock) {
    this.#admission = admission
    this.#maxAgeMs = maxAgeMs
    this.#clock = clock
  }

  /**
   * Keeps a connection until it is removed, and sees to it that it does not grow too old.
   *
   * @param address null for one that is not counted by address.
   */
  add(connection: Connection, address: string | null): void {
    this.#open.set(connection, address)
    this.#admission.count(address, 1)
    if (this.#maxAgeMs !== undefined) this.#watchAge(connection, this.#maxAgeMs)
  }

  /** The connection is gone, and everything of it has ended. */
  remove(connection: Connection): void {
    const address = this.#open.get(connection)
    if (address === undefined) return
    this.#open.delete(connection)
    this.#admission.count(address, -1)
    this.#ages.get(connection)?.cancel()
    this.#ages.delete(connection)
    this.checkCalm()
  }

  #watchAge(connection: Connection, maxAgeMs: number): void {
    const clock = this.#clock
    const old = () => {
      this.#ages.set(
        connection,
        clock.after(leaveMs, () => void connection.close()), // never rejects
      )
      connection.dismiss()
    }
    this.#ages.set(connection, clock.after(maxAgeMs * (1 - ageJitter * clock.random()), old))
  }

  [Symbol.iterator](): Iterator<Connection> {
    return this.#open.keys()
  }

  /** Asks all that are open now to leave, one after another, evenly over so many milliseconds. */
  async dismiss(spreadMs: number): Promise<void> {
    const clock = this.#clock
    const startedAt = clock.now()
    const leaving = [...this.#open.keys()]
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
    await Promise.all(Array.from(this.#open.keys(), connection => connection.close()))
  }

  get #busy(): boolean {
    for (const connection of this.#open.keys()) if (connection.busy) return true
    return false
  }
}
