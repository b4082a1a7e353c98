/** All open connections of one server: for its numbers, their age, its drain and its end. */
import { settlesWithin } from '../procedures/grace.ts'
import { sleep, type Clock } from '../../shared/clock.ts'

export interface Connection {
  readonly carrier: 'websocket' | 'stream' | 'sse'
  readonly bufferedBytes: number
  /** True while it has a subscription or a call in hand. */
  readonly busy: boolean
  /**
   * Asks the peer to connect anew, and to resume there. Ends nothing that the peer would not come back to.
   *
   * @param withinMs it may choose the moment itself within so many milliseconds, where it understands that.
   */
  dismiss(withinMs?: number): void
  /** Ends all subscriptions and then the connection; settles when they have ended, or overstayed. */
  close(): Promise<void>
  /** Settles when the connection is gone and everything of it has ended; never rejects. */
  readonly ended: Promise<void>
}

/** Connections that were opened at one moment, after a deploy say, are not all to end at one moment, too. */
const ageJitter = 0.2

/** How long one that was asked to leave for its age may take, in milliseconds: it moves over in a moment. */
const leaveMs = 30_000

export class Connections implements Iterable<Connection> {
  readonly #open = new Set<Connection>()
  readonly #maxAgeMs: number | undefined
  readonly #clock: Clock
  /** Those who wait for the moment in which nothing is in hand. */
  readonly #waiting = new Set<() => void>()

  constructor(maxAgeMs: number | undefined, clock: Clock) {
    this.#maxAgeMs = maxAgeMs
    this.#clock = clock
  }

  /** Keeps a connection until it has ended, and sees to it that it does not grow too old. */
  add(connection: Connection): void {
    this.#open.add(connection)
    const age = this.#watchAge(connection)
    void connection.ended.finally(() => {
      age?.[Symbol.dispose]()
      this.#open.delete(connection)
      this.checkCalm()
    })
  }

  #watchAge(connection: Connection): Disposable | null {
    if (this.#maxAgeMs === undefined) return null
    const clock = this.#clock
    let timer = clock.after(this.#maxAgeMs * (1 - ageJitter * clock.random()), () => {
      connection.dismiss()
      timer = clock.after(leaveMs, () => void connection.close()) // never rejects
    })
    return { [Symbol.dispose]: () => timer.cancel() }
  }

  [Symbol.iterator](): Iterator<Connection> {
    return this.#open.values()
  }

  /** Asks all that are open now to leave, one after another, evenly over so many milliseconds. */
  async dismiss(spreadMs: number): Promise<void> {
    const clock = this.#clock
    const startedAt = clock.now()
    const leaving = [...this.#open]
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
    await Promise.all(Array.from(this.#open, connection => connection.close()))
  }

  get #busy(): boolean {
    for (const connection of this.#open) if (connection.busy) return true
    return false
  }
}
