/** The leader's side: its guests, and what they have to know of the connection that they share. */
import type { SluiceError } from '../../shared/errors.ts'
import type { ConnectionState } from '../connection/machine.ts'
import { Guest } from './guest.ts'
import type { TabsRoute } from './seat.ts'

export interface RelayOptions {
  readonly route: TabsRoute
  readonly heartbeatMs: number
  readonly answerMs: number
  /** Whether this tab still belongs to the user whose tabs it leads. */
  readonly holds: () => boolean
}

export class Relay {
  readonly id = crypto.randomUUID()
  readonly #options: RelayOptions
  readonly #guests = new Map<string, Guest>()

  constructor(options: RelayOptions) {
    this.#options = options
  }

  get hasGuests(): boolean {
    return this.#guests.size > 0
  }

  /** Takes a tab aboard, if it is this leader that it wants. */
  board(ride: string, leader: string | null): void {
    const { route, heartbeatMs, answerMs, holds } = this.#options
    if ((leader !== null && leader !== this.id) || !holds()) return
    const guest = new Guest({
      ride,
      route,
      heartbeatMs,
      answerMs,
      holds,
      gone: () => {
        this.#guests.delete(ride)
        route.connection.mayRest()
      },
    })
    this.#guests.set(ride, guest)
    guest.welcome(this.id)
    const { connection, options } = route
    connection.want()
    const state = connection.get()
    // The timers of a hidden tab are held back, but the guest may be in sight.
    if (state.at === 'waiting' && state.until <= options.clock.now()) connection.wake()
    guest.follow(connection.get())
  }

  /** The state of the connection has changed. */
  follow(state: ConnectionState): void {
    for (const guest of this.#guests.values()) guest.follow(state)
  }

  /** The guests have to find another leader. */
  close(why: SluiceError): void {
    for (const guest of this.#guests.values()) guest.lose(why)
  }
}
