/** All open connections of one server: for its numbers, its drain and its end. */
import { settlesWithin } from '../procedures/grace.ts'
import type { Clock } from '../../shared/clock.ts'

export interface Connection {
  readonly carrier: 'websocket' | 'stream' | 'sse'
  readonly bufferedBytes: number
  /** True while it has a subscription or a call in hand. */
  readonly busy: boolean
  /** Asks the peer to connect anew, and to resume there. Ends nothing that the peer would not come back to. */
  dismiss(): void
  /** Ends all subscriptions and then the connection; settles when they have ended, or overstayed. */
  close(): Promise<void>
  /** Settles when the connection is gone and everything of it has ended; never rejects. */
  readonly ended: Promise<void>
}

export class Connections implements Iterable<Connection> {
  readonly #open = new Set<Connection>()
  /** Those who wait for the moment in which nothing is in hand. */
  readonly #waiting = new Set<() => void>()

  /** Keeps a connection until it has ended. */
  add(connection: Connection): void {
    this.#open.add(connection)
    void connection.ended.finally(() => {
      this.#open.delete(connection)
      this.checkCalm()
    })
  }

  [Symbol.iterator](): Iterator<Connection> {
    return this.#open.values()
  }

  /** Waits until no connection has anything in hand, or the time is over. */
  async calm(withinMs: number, clock: Clock): Promise<void> {
    if (!this.#busy) return
    let onCalm = () => {}
    const calm = new Promise<void>(resolve => (onCalm = resolve))
    this.#waiting.add(onCalm)
    await settlesWithin(calm, withinMs, clock)
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
