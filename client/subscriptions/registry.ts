/**
 * All subscriptions of the link: what to ask for on each new transport, to whom what arrives belongs, and when to ask
 * again for one that broke by itself.
 */
import { SluiceError, type Retry } from '../../shared/errors.ts'
import { retryOf } from '../../shared/retry.ts'
import type { Clock, Timer } from '../../shared/clock.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { Passenger, Vehicle } from '../connection/connection.ts'
import { healthyAfterMs } from '../connection/machine.ts'
import type { ClientError, Loss, Received, Transport } from '../transports/transport.ts'
import type { Flow } from './inbox.ts'
import type { Subscription } from './subscription.ts'

export interface RegistryOptions {
  readonly clock: Clock
  readonly retryDelayMs: (attempt: number) => number
}

/** A subscription's dealings with the transport of the day. */
interface Entry {
  readonly subscription: Subscription
  /** Null while it is not asked for. */
  asked: RequestId | null
  startedAt: number | null
  failures: number
  retry: Pick<Timer, 'cancel'> | null
  /** It is asked for when its consumer has taken what it has. */
  draining: boolean
}

export class Registry implements Passenger {
  readonly #vehicle: Vehicle
  readonly #options: RegistryOptions
  readonly #entries = new Set<Entry>()
  readonly #asked = new Map<RequestId, Entry>()
  #transport: Transport | null = null
  /** Whether what is asked for is sent at once. */
  #opened = false

  constructor(vehicle: Vehicle, options: RegistryOptions) {
    this.#vehicle = vehicle
    this.#options = options
  }

  get wanted(): boolean {
    return this.#entries.size > 0
  }

  get movable(): boolean {
    for (const { asked, subscription } of this.#entries) {
      if (asked !== null && subscription.cursor === undefined) return false
    }
    return true
  }

  /** Takes a subscription in, and returns its removal. */
  add(subscription: Subscription): () => void {
    const entry: Entry = {
      subscription,
      asked: null,
      startedAt: null,
      failures: 0,
      retry: null,
      draining: false,
    }
    this.#entries.add(entry)
    subscription.connecting(null)
    if (this.#transport && !subscription.over) this.#ask(entry, this.#transport)
    this.#vehicle.want()
    return () => {
      subscription.leave()
      this.#forget(entry, { stop: true })
    }
  }

  board(transport: Transport): void {
    this.#transport = transport
    this.#opened = transport.request === null // over HTTP each is a request of its own, opened or not
    for (const entry of this.#entries) this.#ask(entry, transport)
  }

  opened(): void {
    this.#opened = true
    for (const entry of this.#entries) if (entry.asked !== null) entry.subscription.sent()
  }

  received(message: Received, size: number): void {
    if (!('id' in message)) return
    const entry = this.#asked.get(message.id)
    if (!entry) return // stopped meanwhile, or of an earlier transport
    switch (message.type) {
      case 'started':
        entry.startedAt = this.#options.clock.now()
        if (message.credit === true) this.#grant(entry)
        return entry.subscription.started(message.position)
      case 'data':
        entry.subscription.next(message.data, message.eventId, size)
        return this.#holdIfFull(entry)
      case 'lag':
        return entry.subscription.lagging(message.lag)
      case 'stopped':
        this.#forget(entry, { stop: false })
        return entry.subscription.stopped()
      case 'error':
        return this.#failed(entry, message.error)
      default:
        return message satisfies never
    }
  }

  interrupted(ids: readonly RequestId[], loss: Loss): void {
    const entries = ids.flatMap(id => this.#asked.get(id) ?? [])
    if (loss.retry) this.#askLater(entries, loss.why, loss)
    else for (const entry of entries) this.#finish(entry, loss.why)
  }

  left(transport: Transport, why: SluiceError): void {
    if (this.#transport !== transport) return
    this.#transport = null
    for (const entry of this.#present()) {
      // A transport that stays for the sake of others goes on to deliver until it is told to stop.
      if (entry.asked !== null) transport.unsubscribe(entry.asked)
      this.#unask(entry)
      entry.subscription.connecting(why)
    }
  }

  lost(): void {}

  dismissed(why: SluiceError): void {
    for (const entry of this.#present()) {
      this.#forget(entry, { stop: false })
      if (why.code === 'LINK_CLOSED') entry.subscription.complete()
      else entry.subscription.fail(why)
    }
  }

  awaitsAnswerOn(): boolean {
    return false
  }

  /** Those who are here now, and not those whom the news will lead to subscribe again. */
  #present(): Entry[] {
    return [...this.#entries]
  }

  #ask(entry: Entry, transport: Transport): void {
    // What one subscription is told may have led to another's end, or to its being asked for already.
    if (entry.asked !== null || transport !== this.#transport || !this.#entries.has(entry)) return
    const { flow } = entry.subscription
    if (flow && !flow.empty) return this.#askWhenEmpty(entry, flow)
    const id = this.#vehicle.nextId()
    entry.retry?.cancel()
    entry.retry = null
    entry.asked = id
    entry.startedAt = null
    this.#asked.set(id, entry)
    transport.subscribe(entry.subscription.ask(id))
    if (this.#opened) entry.subscription.sent()
  }

  /** A window begins empty: what the consumer has not taken yet is of an earlier one, or of none. */
  #askWhenEmpty(entry: Entry, flow: Flow): void {
    if (entry.draining) return
    entry.draining = true
    void flow.whenEmpty().then(() => {
      entry.draining = false
      if (this.#transport) this.#ask(entry, this.#transport)
    })
  }

  /** The server counts: it is told what the consumer has taken. */
  #grant(entry: Entry): void {
    const { flow } = entry.subscription
    const { asked } = entry
    const transport = this.#transport
    if (!flow || asked === null || !transport?.grant) return
    flow.heeded = true
    flow.onTaken = events => transport.grant?.(asked, events)
  }

  /** A server that does not count would go on: it is told to stop, and asked for the rest later. */
  #holdIfFull(entry: Entry): void {
    const { subscription, asked } = entry
    const { flow } = subscription
    if (!flow?.full || flow.heeded || !subscription.resumable || asked === null) return
    const transport = this.#transport
    transport?.unsubscribe(asked)
    this.#unask(entry)
    subscription.connecting(null)
    if (transport) this.#ask(entry, transport)
  }

  #failed(entry: Entry, error: ClientError): void {
    const retry = retryAfter(error)
    if (retry === 'never') return this.#finish(entry, error)
    this.#askLater([entry], error)
    // Another server will answer, to which a new WebSocket leads; over HTTP each stream is a connection of its own.
    if (retry === 'elsewhere' && this.#transport?.request) {
      this.#vehicle.leave(new SluiceError('DRAINING', error.message, { cause: error }))
    }
  }

  /** Those that broke together are asked for together. */
  #askLater(
    entries: readonly Entry[],
    why: SluiceError | ClientError,
    { afterMs = 0, served = false }: Partial<Loss> = {},
  ): void {
    const { clock, retryDelayMs } = this.#options
    for (const entry of entries) {
      const healthy = entry.startedAt !== null && clock.now() - entry.startedAt >= healthyAfterMs
      entry.failures = healthy || served ? 0 : entry.failures + 1
      this.#unask(entry)
    }
    const delayMs = Math.max(afterMs, retryDelayMs(Math.max(...entries.map(({ failures }) => failures))))
    const waiting = new Set(entries)
    const askAll = () => {
      for (const entry of waiting) {
        entry.retry = null
        if (this.#transport) this.#ask(entry, this.#transport)
      }
    }
    const timer = clock.after(delayMs, askAll, { keepAlive: true })
    for (const entry of entries) {
      const cancel = () => {
        waiting.delete(entry)
        if (waiting.size === 0) timer.cancel()
      }
      entry.retry = { cancel }
    }
    for (const entry of entries) entry.subscription.connecting(why)
  }

  #finish(entry: Entry, why: SluiceError | ClientError): void {
    this.#forget(entry, { stop: false })
    entry.subscription.fail(why)
  }

  #forget(entry: Entry, { stop }: { readonly stop: boolean }): void {
    if (!this.#entries.delete(entry)) return
    if (stop && entry.asked !== null) this.#transport?.unsubscribe(entry.asked)
    this.#unask(entry)
    this.#vehicle.mayRest()
  }

  #unask(entry: Entry): void {
    entry.retry?.cancel()
    entry.retry = null
    if (entry.asked === null) return
    this.#asked.delete(entry.asked)
    entry.asked = null
    const { flow } = entry.subscription
    if (!flow) return
    flow.heeded = false
    flow.onTaken = null
  }
}

/** What a server's error says about coming back: tRPC's own say nothing, and are final on every carrier. */
function retryAfter(error: ClientError): Retry {
  const data: unknown = error.data
  return retryOf((data as { sluice?: { code?: unknown } } | null | undefined)?.sluice?.code)
}
