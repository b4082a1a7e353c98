/**
 * The tabs of one user, as one of them sees it: it leads them, or has a ride with the tab that does. Whoever begins to
 * lead says so, and says it again whenever its connection opens: then the others come aboard.
 */
import { SluiceError } from '../../shared/errors.ts'
import type { TransportKind } from '../connection/machine.ts'
import type { Transport, TransportReports } from '../transports/transport.ts'
import { Election } from './election.ts'
import { Channel, type LobbyMessage } from './parcel.ts'
import { Relay } from './relay.ts'
import { Ride } from './ride.ts'
import type { TabsRoute } from './seat.ts'

export interface GroupOptions {
  /** Whoever has the same one belongs to it. */
  readonly key: string
  readonly route: TabsRoute
  readonly heartbeatMs: number
  readonly answerMs: number
  /** Whether this tab still belongs to it; asked before anything is done for another tab, or through one. */
  readonly holds: () => boolean
}

export class Group {
  readonly #options: GroupOptions
  readonly #lobby: Channel<LobbyMessage, LobbyMessage>
  readonly #election: Election
  readonly #stopListening: () => void
  /** Null while another tab leads. */
  #relay: Relay | null = null
  /** The latest. */
  #ride: Ride | null = null

  /** Stands for election at once. */
  constructor(options: GroupOptions) {
    this.#options = options
    const { key, route, answerMs } = options
    this.#lobby = new Channel(key, message => this.#heard(message))
    this.#election = new Election({
      name: key,
      clock: route.options.clock,
      settleMs: answerMs,
      won: () => this.#won(),
      deposed: () => this.#deposed(),
    })
    this.#stopListening = route.connection.subscribe(() => this.#connectionChanged())
    this.#election.stand()
  }

  get key(): string {
    return this.#options.key
  }

  get leads(): boolean {
    return this.#relay !== null
  }

  /** Whether other tabs depend on this one. */
  get hasGuests(): boolean {
    return this.#relay?.hasGuests ?? false
  }

  get ride(): Ride | null {
    return this.#ride
  }

  open(kind: TransportKind, reports: TransportReports): Transport {
    const { route, heartbeatMs, answerMs, holds } = this.#options
    if (this.leads) return route.create(kind, reports)
    const ride = new Ride({
      options: route.options,
      reports,
      heartbeatMs,
      answerMs,
      holds,
      board: (ride, leader) => this.#lobby.post({ say: 'board', ride, leader }),
      nobody: () => this.#election.takeOver(),
      // Over HTTP each subscription is a request of its own, and whoever asked has to know that from the start.
      create: kind === 'websocket' ? () => route.create(kind, reports) : null,
    })
    this.#ride = ride
    return ride
  }

  /** Leaves: the others are told `why`, and the next in line leads them. */
  close(why: SluiceError): void {
    this.#stopListening()
    this.#relay?.close(why)
    this.#relay = null
    this.#election.resign()
    this.#lobby.close()
  }

  #won(): void {
    const { route, holds, heartbeatMs, answerMs } = this.#options
    this.#relay = new Relay({ route, holds, heartbeatMs, answerMs })
    this.#announce()
    this.#ride?.lead()
    this.#wakeIfWaiting()
  }

  #deposed(): void {
    const why = new SluiceError('CONNECTION_LOST', 'Another tab has taken the connection over.')
    this.#relay?.close(why)
    this.#relay = null
    this.#election.stand()
    this.#options.route.connection.leave(why)
  }

  #heard(message: LobbyMessage): void {
    if (message.say === 'board') return this.#relay?.board(message.ride, message.leader)
    if (this.#relay) return // it will learn from its lock that it leads no more
    this.#ride?.ledBy(message.leader)
    this.#wakeIfWaiting()
  }

  #connectionChanged(): void {
    if (!this.#relay) return
    const state = this.#options.route.connection.get()
    this.#relay.follow(state)
    if (state.at === 'ready') this.#announce()
  }

  #announce(): void {
    if (this.#relay) this.#lobby.post({ say: 'here', leader: this.#relay.id })
  }

  /** There is somebody to serve us, or nobody to wait for: not a moment is lost. */
  #wakeIfWaiting(): void {
    const { connection } = this.#options.route
    if (connection.get().at === 'waiting') connection.wake()
  }
}
