/**
 * All subscriptions of the link: what to ask for on each new transport, to whom what arrives belongs, and when to ask
 * again for one that broke by itself.
 */
import { SluiceError } from '../../shared/errors.ts'
import type { Timer } from '../../shared/clock.ts'
import type { RequestId, SluiceErrorData } from '../../shared/protocol/messages.ts'
import type { Passenger, Vehicle } from '../connection/connection.ts'
import { healthyAfterMs } from '../connection/machine.ts'
import type { ResolvedOptions } from '../options.ts'
import type { Answer, ClientError, Loss, Transport } from '../transports/transport.ts'
import type { Subscription } from './subscription.ts'

/** A subscription's dealings with the transport of the day. */
interface Entry {
  readonly subscription: Subscription
  /** Null while it is not asked for. */
  asked: RequestId | null
  /** Infinity until it has. */
  startedAt: number
  failures: number
  /** Shared by those that broke together. */
  retry: Timer | null
}

export interface Registry extends Passenger {
  /** Takes a subscription in, and returns its removal. */
  add(subscription: Subscription): () => void
}

export function createRegistry(vehicle: Vehicle, { clock, retryDelayMs }: ResolvedOptions): Registry {
  const entries = new Set<Entry>()
  let transport: Transport | null = null
  /** Whether what is asked for is sent at once. */
  let opened = false

  const ask = (entry: Entry) => {
    const { subscription } = entry
    // What one subscription is told may have led to another's end, or to its being asked for already.
    if (!transport || entry.asked !== null || !entries.has(entry)) return
    // A window begins empty: what the consumer has not taken yet is of an earlier one, or of none.
    if (subscription.flow?.empties(() => ask(entry))) return
    const id = vehicle.nextId(answer => received(entry, answer))
    stopRetry(entry)
    entry.asked = id
    entry.startedAt = Infinity
    transport.subscribe(subscription.ask(id))
  }

  const unask = (entry: Entry) => {
    stopRetry(entry)
    if (entry.asked === null) return
    vehicle.forget(entry.asked)
    entry.asked = null
    entry.subscription.unasked(opened)
  }

  const stopRetry = (entry: Entry) => {
    const { retry } = entry
    entry.retry = null
    for (const other of entries) if (other.retry === retry) return
    retry?.cancel()
  }

  const received = (entry: Entry, message: Answer) => {
    const { subscription } = entry
    switch (message.type) {
      case 'started':
        entry.startedAt = clock.now()
        // A server that counts is told what the consumer has taken.
        if (message.credit) subscription.flow?.heed(events => transport?.grant?.(message.id, events))
        return subscription.started(message.position)
      case 'data':
        subscription.next(message)
        // A server that does not count would go on: it is told to stop, and asked for the rest later.
        if (entry.asked !== null && subscription.resumable && subscription.flow?.overflowing) {
          transport?.unsubscribe(entry.asked)
          unask(entry)
          subscription.connecting(null)
          ask(entry)
        }
        return
      case 'lag':
        return subscription.lagging(message.lag)
      case 'stopped':
        forget(entry)
        return subscription.stopped()
      case 'error': {
        const { error } = message
        // What the server says about coming back; tRPC's own errors say nothing, and are final on every carrier.
        const { sluice } = Object(error.data) as { sluice?: Partial<SluiceErrorData> }
        if (!sluice?.retry) return finish(entry, error)
        askLater([entry], error)
        // Another server will answer, to which a new WebSocket leads; over HTTP each stream is a connection of its own.
        if (sluice.retry === 'elsewhere' && transport?.request) {
          vehicle.leave(new SluiceError('DRAINING', error.message, { cause: error }))
        }
        return
      }
      default:
        return message satisfies never
    }
  }

  const forget = (entry: Entry) => {
    if (!entries.delete(entry)) return
    unask(entry)
    vehicle.mayRest()
  }

  const finish = (entry: Entry, why: SluiceError | ClientError) => {
    forget(entry)
    entry.subscription.fail(why)
  }

  /** Those that broke together are asked for together. */
  const askLater = (
    broken: readonly Entry[],
    why: SluiceError | ClientError,
    { afterMs = 0, served = false }: Partial<Loss> = {},
  ) => {
    for (const entry of broken) {
      const healthy = clock.now() - entry.startedAt >= healthyAfterMs
      entry.failures = healthy || served ? 0 : entry.failures + 1
      unask(entry)
    }
    const delayMs = Math.max(afterMs, retryDelayMs(Math.max(...broken.map(({ failures }) => failures))))
    const askAll = () => {
      for (const entry of broken) {
        if (entry.retry !== timer) continue
        entry.retry = null
        ask(entry)
      }
    }
    const timer = clock.after(delayMs, askAll, { keepAlive: true })
    for (const entry of broken) entry.retry = timer
    for (const entry of broken) entry.subscription.connecting(why)
  }

  return {
    get wanted() {
      return entries.size > 0
    },
    add(subscription) {
      const entry: Entry = {
        subscription,
        asked: null,
        startedAt: Infinity,
        failures: 0,
        retry: null,
      }
      entries.add(entry)
      subscription.connecting(null)
      ask(entry)
      vehicle.want()
      return () => {
        subscription.leave()
        if (entry.asked !== null) transport?.unsubscribe(entry.asked)
        forget(entry)
      }
    },
    board(boarded) {
      transport = boarded
      opened = transport.request === null // over HTTP each is a request of its own, opened or not
      for (const entry of entries) ask(entry)
    },
    opened() {
      opened = true
    },
    interrupted(ids, loss) {
      const broken = [...entries].filter(({ asked }) => asked !== null && ids.includes(asked))
      if (!loss.final) return askLater(broken, loss.why, loss)
      for (const entry of broken) finish(entry, loss.why)
    },
    left(left, why) {
      transport = null
      // Those who are here now, and not those whom the news will lead to subscribe again.
      for (const entry of Array.from(entries)) {
        // A transport that stays for the sake of others goes on to deliver until it is told to stop.
        if (entry.asked !== null) left.unsubscribe(entry.asked)
        unask(entry)
        entry.subscription.connecting(why)
      }
    },
    closed(why) {
      for (const entry of Array.from(entries)) {
        if (why.code !== 'LINK_CLOSED') finish(entry, why)
        else {
          forget(entry)
          entry.subscription.complete()
        }
      }
    },
  }
}
