/**
 * A transport that is another tab's connection. It asks who leads and goes by that tab; what is asked for before waits.
 * If this tab turns out to lead itself, before anybody has answered, it becomes a transport of its own: nobody above
 * notices. If nobody answers at all, whoever leads is dead or asleep, and this tab takes over.
 *
 *      boarding ── here ──▶ aboard ── opened ──▶ open
 *         │  │                 └───────┬──────────┘
 *         │  └ nobody: take over       └── silent, another leader, said so ──▶ lost
 *         └── lead ──▶ a transport of its own
 */
import type { Timer } from '../../shared/clock.ts'
import { SluiceError } from '../../shared/errors.ts'
import { toCredit, type Credit } from '../../shared/protocol/credit.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { Hint, Via } from '../connection/machine.ts'
import type { ResolvedOptions } from '../options.ts'
import type {
  AskedRequest,
  AskedSubscription,
  Loss,
  Transport,
  TransportReports,
} from '../transports/transport.ts'
import { createWatchdog, type Watchdog } from '../transports/watchdog.ts'
import { Channel, Packer, unpackReason, type Relayable, type ToFollower, type ToLeader } from './parcel.ts'

export interface RideOptions {
  readonly options: ResolvedOptions
  readonly reports: TransportReports
  readonly heartbeatMs: number
  readonly answerMs: number
  /** Whether this tab may still use what the others have. */
  readonly holds: () => boolean
  /** Asks in the lobby for whoever leads. */
  readonly board: (ride: string, leader: string | null) => void
  /** Nobody has answered in time; it asks again. */
  readonly nobody: () => void
  /** Makes a transport of this tab's own; null where that has to be a new attempt. */
  readonly create: (() => Transport) | null
}

interface Asked {
  readonly subscription: AskedSubscription
  readonly window: Credit
  /** What has been taken and not told. */
  taken: { events: number; bytes: number }
}

/** How much may be on its way from tab to tab, for a consumer that does not say what it can take. */
const window = toCredit(256, 1024 * 1024)

export class Ride implements Transport {
  readonly #options: RideOptions
  readonly #packer: Packer
  readonly #asked = new Map<RequestId, Asked>()

  #channel: Channel<ToLeader, ToFollower> | null = null
  #timer: Timer | null = null
  /** Null until somebody answers. */
  #leader: string | null = null
  #watchdog: Watchdog | null = null
  #open = false
  #takesRequests = true
  /** Lost, closed, or not needed any more. */
  #over = false
  /** Once this tab leads. */
  #own: Transport | null = null

  /** Asks for the leader at once. */
  constructor(options: RideOptions) {
    this.#options = options
    this.#packer = new Packer(options.options)
    this.#board(null)
  }

  get kind(): Via {
    return this.#own?.kind ?? 'tab'
  }

  get request(): ((asked: AskedRequest) => void) | null {
    if (this.#own) return this.#own.request
    return this.#takesRequests ? asked => this.#request(asked) : null
  }

  subscribe(asked: AskedSubscription): void {
    if (this.#own) return this.#own.subscribe(asked)
    const { id, flow } = asked
    this.#asked.set(id, {
      subscription: asked,
      window: flow?.credit ?? window,
      taken: { events: 0, bytes: 0 },
    })
    if (this.#open) this.#send(asked)
  }

  unsubscribe(id: RequestId): void {
    if (this.#own) return this.#own.unsubscribe(id)
    if (this.#asked.delete(id) && this.#open) this.#post({ say: 'unsubscribe', id })
  }

  grant(id: RequestId, events: number): void {
    if (this.#own) this.#own.grant?.(id, events)
    else this.#post({ say: 'taken', id, events })
  }

  probe(hint: Hint, withinMs: number): void {
    if (this.#own) return this.#own.probe(hint, withinMs)
    if (hint === 'network') this.#post({ say: 'look' })
    this.#watchdog?.probe(withinMs)
  }

  close(): void {
    this.#own?.close()
    this.#end()
  }

  /** Somebody says in the lobby that they lead. */
  ledBy(leader: string): void {
    if (this.#over || leader === this.#leader) return
    if (this.#leader === null) this.#board(leader)
    else this.lose(new SluiceError('CONNECTION_LOST', 'Another tab has the connection now.'))
  }

  /** This tab leads. */
  lead(): void {
    if (this.#over) return
    const { create } = this.#options
    if (this.#open || !create) {
      return this.lose(new SluiceError('CONNECTION_LOST', 'This tab has the connection from now on.'))
    }
    this.#end()
    this.#own = create()
    for (const { subscription } of this.#asked.values()) this.#own.subscribe(subscription)
  }

  /** What this tab has asked for is asked for again, over another transport. */
  lose(why: SluiceError, how: Partial<Loss> = { served: true }): void {
    if (this.#over) return
    this.#end()
    this.#options.reports.lost({ why, ...how })
  }

  /** On a channel that nobody has known before: two who both think that they lead must not answer on one. */
  #board(leader: string | null): void {
    const { options, answerMs, nobody, board } = this.#options
    const ride = crypto.randomUUID()
    this.#channel?.close()
    this.#channel = new Channel(ride, message => this.#received(message))
    this.#timer?.cancel()
    this.#timer = options.clock.after(answerMs, () => {
      nobody()
      if (!this.#over) this.#board(null) // somebody else may have been quicker
    })
    board(ride, leader)
  }

  #received(message: ToFollower): void {
    if (this.#over) return
    this.#watchdog?.heard()
    switch (message.say) {
      case 'here':
        return this.#aboard(message.leader)
      case 'opened':
        return this.#opened(message.requests)
      case 'received':
        return this.#deliver(this.#packer.unpack(message.message))
      case 'lost':
        return this.lose(unpackReason(message.why), { final: message.final })
      case 'ping':
        return this.#post({ say: 'pong' })
      case 'pong':
        return
      default:
        return message satisfies never
    }
  }

  #aboard(leader: string): void {
    const { heartbeatMs, answerMs, options } = this.#options
    this.#timer?.cancel()
    this.#leader = leader
    this.#watchdog?.stop()
    this.#watchdog = createWatchdog({
      clock: options.clock,
      heartbeatMs,
      heartbeatTimeoutMs: answerMs,
      ask: () => this.#post({ say: 'ping' }),
      onSilent: () =>
        this.lose(new SluiceError('SILENT_PEER', 'The tab that has the connection did not answer.')),
    })
  }

  #opened(requests: boolean): void {
    if (this.#open) return
    this.#open = true
    this.#takesRequests = requests
    for (const { subscription } of this.#asked.values()) this.#send(subscription)
    if (!this.#over) this.#options.reports.opened()
    if (!this.#over) this.#options.reports.heard()
  }

  #deliver(message: Relayable): void {
    const asked = this.#asked.get(message.id)
    const counts = asked?.subscription.flow !== undefined
    // Who says what they can take is asked what they have taken.
    if (message.type === 'started' && counts) this.#options.reports.received({ ...message, credit: true })
    else this.#options.reports.received(message)
    if (message.type === 'data' && asked && !counts) this.#took(message.id, asked, message.size)
  }

  /** As an inbox does it: told after half of the window, in few messages. */
  #took(id: RequestId, { taken, window }: Asked, size: number): void {
    taken.events += 1
    taken.bytes += size
    if (2 * taken.events < window.events && 2 * taken.bytes < window.bytes) return
    this.#post({ say: 'taken', id, events: taken.events })
    taken.events = 0
    taken.bytes = 0
  }

  #send({ id, path, input, wish }: AskedSubscription): void {
    if (!this.#options.holds()) return // and all of this is over
    const asked = this.#asked.get(id)
    const { lastEventId, again = false, lag = false } = wish()
    this.#post({
      say: 'subscribe',
      id,
      path,
      input: this.#packer.packInput(input),
      cursor: lastEventId,
      again,
      lag,
      window: asked?.window ?? window,
    })
  }

  #request({ id, kind, path, input, wish }: AskedRequest): void {
    const { idempotencyKey } = wish()
    const packed = this.#packer.packInput(input)
    if (!this.#options.holds()) return
    this.#post({ say: 'request', id, kind, path, input: packed, idempotencyKey })
  }

  #post(message: ToLeader): void {
    if (!this.#over) this.#channel?.post(message)
  }

  #end(): void {
    if (this.#over) return
    this.#post({ say: 'leave' })
    this.#over = true
    this.#timer?.cancel()
    this.#watchdog?.stop()
    this.#channel?.close()
  }
}
