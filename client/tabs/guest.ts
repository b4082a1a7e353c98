/** Another tab that uses this one's connection: what it asks for is asked for here, and what comes goes there. */
import { SluiceError, toError } from '../../shared/errors.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { ConnectionState } from '../connection/machine.ts'
import { createSubscription, type Subscription } from '../subscriptions/subscription.ts'
import { createWatchdog, type Watchdog } from '../transports/watchdog.ts'
import {
  Channel,
  Packer,
  packReason,
  toFailure,
  type Relayable,
  type ToFollower,
  type ToLeader,
} from './parcel.ts'
import { Relayed } from './relayed.ts'
import type { TabsRoute } from './seat.ts'

export interface GuestOptions {
  readonly ride: string
  readonly route: TabsRoute
  readonly heartbeatMs: number
  readonly answerMs: number
  readonly holds: () => boolean
  /** It has left, or is dead. */
  readonly gone: () => void
}

/** A connection that has come to this state so recently, in milliseconds, needs no looking after. */
const settledMs = 2_000

type Said<Say extends ToLeader['say']> = Extract<ToLeader, { say: Say }>

export class Guest {
  readonly #options: GuestOptions
  readonly #packer: Packer
  readonly #channel: Channel<ToFollower, ToLeader>
  readonly #watchdog: Watchdog
  readonly #relayed = new Map<RequestId, { readonly relayed: Relayed; readonly end: () => void }>()
  readonly #requests = new Map<RequestId, () => void>()
  #over = false

  constructor(options: GuestOptions) {
    const { ride, route, heartbeatMs, answerMs } = options
    this.#options = options
    this.#packer = new Packer(route.options)
    this.#channel = new Channel(ride, message => this.#heard(message))
    this.#watchdog = createWatchdog({
      clock: route.options.clock,
      heartbeatMs,
      heartbeatTimeoutMs: answerMs,
      ask: () => this.#post({ say: 'ping' }),
      onSilent: () =>
        this.lose(new SluiceError('SILENT_PEER', 'The tab did not answer the one with the connection.')),
    })
  }

  welcome(leader: string): void {
    this.#post({ say: 'here', leader })
  }

  /** The connection stands so. */
  follow(state: ConnectionState): void {
    if (state.at === 'ready') this.#post({ say: 'opened', requests: state.transport === 'websocket' })
    else if (state.at === 'waiting') this.lose(state.why)
    else if (state.at === 'closed') this.lose(state.why, { final: true })
  }

  /** Nothing more for this guest; it is told why. */
  lose(why: SluiceError, { final } = { final: false }): void {
    this.#post({ say: 'lost', why: packReason(why), final })
    this.#end()
  }

  #heard(message: ToLeader): void {
    if (this.#over) return
    this.#watchdog.heard()
    switch (message.say) {
      case 'subscribe':
        return this.#orFail(message.id, () => this.#subscribe(message))
      case 'unsubscribe':
        return this.#forget(message.id)
      case 'request':
        return this.#orFail(message.id, () => this.#request(message))
      case 'taken':
        return this.#relayed.get(message.id)?.relayed.taken(message.events)
      case 'look':
        return this.#look()
      case 'leave':
        return this.#end()
      case 'ping':
        return this.#post({ say: 'pong' })
      case 'pong':
        return
      default:
        return message satisfies never
    }
  }

  /** All tabs hear the network come back, and each says so: one look is enough. */
  #look(): void {
    const { connection, options } = this.#options.route
    if (options.clock.now() - connection.get().since >= settledMs) connection.wake()
  }

  #orFail(id: RequestId, ask: () => void): void {
    try {
      ask()
    } catch (thrown) {
      this.#relay(toFailure(id, thrown))
    }
  }

  #subscribe({ id, path, input: packed, cursor, again, lag, window }: Said<'subscribe'>): void {
    const { route, holds } = this.#options
    if (!holds()) return // and all guests have been told so
    const { transformer, onError } = route.options
    const input = this.#packer.unpackInput(packed)
    const relayed = new Relayed(id, window, message => {
      this.#relay(message)
      if (message.type === 'stopped' || message.type === 'error') this.#forget(id)
    })
    const subscription: Subscription = createSubscription({
      path,
      input,
      serialized: transformer.input.serialize(input),
      observer: relayed.observerOf(() => subscription.cursor),
      flow: relayed.flow,
      onLag: lag ? lag => this.#relay({ type: 'lag', id, lag }) : undefined,
      cursor,
      again,
      onError,
    })
    // What it is told at once may be that it has failed.
    const entry = { relayed, end: () => {} }
    this.#relayed.set(id, entry)
    const end = route.subscriptions.add(subscription)
    if (this.#relayed.get(id) === entry) entry.end = end
    else end()
  }

  #request({ id, kind, path, input: packed, idempotencyKey }: Said<'request'>): void {
    const { route, holds } = this.#options
    if (!holds()) return
    const input = this.#packer.unpackInput(packed)
    const context = idempotencyKey === undefined ? {} : { idempotencyKey }
    const done = (message: Relayable) => {
      this.#requests.delete(id)
      this.#relay(message)
    }
    const request = route.send(
      { id: Number(id), type: kind, path, input, context, signal: null },
      {
        next: ({ result }) => {
          if ('data' in result) done({ type: 'data', id, eventId: undefined, data: result.data, size: 0 })
        },
        error: error => done({ type: 'error', id, error }),
        complete: () => {},
      },
    )
    this.#requests.set(id, request)
  }

  #relay(message: Relayable): void {
    try {
      this.#post({ say: 'received', message: this.#packer.pack(message) })
    } catch (thrown) {
      // What the transformer or the browser cannot hand on; the tab has no place to go on from.
      this.#options.route.options.onError(toError(thrown))
    }
  }

  #forget(id: RequestId): void {
    const entry = this.#relayed.get(id)
    if (!entry) return
    this.#relayed.delete(id)
    entry.relayed.close()
    entry.end()
  }

  #post(message: ToFollower): void {
    if (!this.#over) this.#channel.post(message)
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#watchdog.stop()
    this.#channel.close()
    for (const id of this.#relayed.keys()) this.#forget(id)
    for (const withdraw of this.#requests.values()) withdraw()
    this.#requests.clear()
    this.#options.gone()
  }
}
