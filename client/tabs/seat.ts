/**
 * A link's place among the tabs: the group of those that are logged in as the same user, for as long as the page is
 * there and the user stays the same. A page that goes away leaves at once, and comes back when it needs to.
 */
import { SluiceError, toError } from '../../shared/errors.ts'
import type { Connection } from '../connection/connection.ts'
import type { TransportKind } from '../connection/machine.ts'
import type { SendRequest } from '../http.ts'
import type { ResolvedOptions } from '../options.ts'
import type { Registry } from '../subscriptions/registry.ts'
import type { Transport, TransportFactory, TransportReports } from '../transports/transport.ts'
import { Group } from './group.ts'
import { watchPage } from './page.ts'

/** What the link hands over. */
export interface TabsRoute {
  readonly connection: Connection
  readonly subscriptions: Registry
  readonly send: SendRequest
  /** Makes a transport of this tab's own. */
  readonly create: TransportFactory
  /** Links with different ones do not meet; a function is taken for one and the same. */
  readonly address: string | (() => unknown)
  readonly options: ResolvedOptions
}

export interface SeatOptions {
  readonly name: string
  readonly identity: () => string
  readonly heartbeatMs: number
  readonly answerMs: number
}

/** Tabs that may run different versions of the page understand one another, or don't meet. */
const version = 1

export class Seat {
  readonly #route: TabsRoute
  readonly #options: SeatOptions
  readonly #stopWatching: () => void
  #group: Group | null = null

  constructor(route: TabsRoute, options: SeatOptions) {
    this.#route = route
    this.#options = options
    this.#stopWatching = watchPage({
      away: () => this.#leave('The page was put away.'),
      back: () => route.connection.wake(),
    })
    // The connection is wanted while other tabs use it, and nothing travels in person.
    const hasGuests = () => this.#group?.hasGuests ?? false
    route.connection.carry({
      get wanted() {
        return hasGuests()
      },
    })
  }

  /** A transport for this tab: its own if it leads, else through the tab that does. */
  open(kind: TransportKind, reports: TransportReports): Transport {
    const group = this.#join()
    return group ? group.open(kind, reports) : this.#route.create(kind, reports)
  }

  /** For good; the connection is the link's to close. */
  close(): void {
    this.#stopWatching()
    this.#group?.close(new SluiceError('CONNECTION_LOST', 'The tab that had the connection was closed.'))
    this.#group = null
  }

  /** Null where nobody can say whose tab this is. */
  #join(): Group | null {
    const key = this.#key()
    if (this.#group?.key === key) return this.#group
    this.#leave('Another user is logged in.')
    if (key === null) return null
    this.#group = new Group({
      key,
      route: this.#route,
      heartbeatMs: this.#options.heartbeatMs,
      answerMs: this.#options.answerMs,
      holds: () => this.#holds(key),
    })
    return this.#group
  }

  /** Whether this tab still belongs to its group; if not, it leaves when whoever asks is done. */
  #holds(key: string): boolean {
    if (this.#key() === key) return true
    queueMicrotask(() => {
      if (this.#group?.key === key) this.#leave('Another user is logged in.')
    })
    return false
  }

  #key(): string | null {
    const { options, address: given } = this.#route
    const address = typeof given === 'string' ? given : null
    try {
      const { name, identity } = this.#options
      return JSON.stringify(['sluice', version, name, address, options.codec?.name, identity()])
    } catch (thrown) {
      options.onError(toError(thrown)) // the application's own
      return null
    }
  }

  #leave(message: string): void {
    const group = this.#group
    if (!group) return
    this.#group = null
    const { leads, ride } = group
    const why = new SluiceError('CONNECTION_LOST', message)
    group.close(why)
    if (leads) this.#route.connection.leave(why)
    else ride?.lose(why)
  }
}
