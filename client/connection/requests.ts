/**
 * Queries and mutations over the connection. One that was never sent waits for it; one that was sent and whose
 * connection is lost is given up with `OUTCOME_UNKNOWN`: a mutation must not run twice because an answer got lost.
 */
import { TRPCClientError } from '@trpc/client'
import type { Operation } from '@trpc/client'
import { SluiceError, toError } from '../../shared/errors.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { SendRequest } from '../http.ts'
import { idempotencyKeyOf } from '../idempotency-key.ts'
import type { ResolvedOptions } from '../options.ts'
import type { ResultObserver } from '../subscriptions/subscription.ts'
import type { Answer, AskedRequest, Transport } from '../transports/transport.ts'
import type { Passenger, Vehicle } from './connection.ts'

interface Entry {
  readonly id: RequestId
  readonly op: Operation
  readonly observer: ResultObserver
  /** The transport that it was sent on. */
  via: Transport | null
  /** Takes it back from where it went over HTTP. */
  withdraw: (() => void) | null
}

export interface Requests extends Passenger {
  /** Takes a query or mutation in, and returns its withdrawal: what has been sent may happen all the same. */
  readonly add: SendRequest
}

/** @param overHttp where the transport takes none. */
export function createRequests(
  vehicle: Vehicle,
  { transformer, onError }: ResolvedOptions,
  overHttp: SendRequest,
): Requests {
  const entries = new Set<Entry>()
  /** The transport, once it is open. */
  let transport: Transport | null = null

  const send = (entry: Entry, via: Transport) => {
    const { id } = entry
    const { type, path, input, context } = entry.op
    const idempotencyKey = idempotencyKeyOf(context)
    if (!via.request) {
      forget(entry)
      entry.withdraw = overHttp(entry.op, entry.observer)
      return
    }
    try {
      // Not before it is known to be needed: superjson takes 430 µs for 10 kB of bytes, and a codec none (Node 20).
      const asked = (own: boolean) => (own ? input : transformer.input.serialize(input))
      via.request({
        id,
        kind: type as AskedRequest['kind'],
        path,
        input: asked,
        wish: () => (idempotencyKey === undefined ? {} : { idempotencyKey }),
      })
      entry.via = via
    } catch (thrown) {
      fail(entry, toError(thrown))
    }
  }

  const received = (entry: Entry, answer: Answer) => {
    if (answer.type === 'error') return fail(entry, answer.error)
    if (answer.type !== 'data') return
    forget(entry)
    deliver(() => {
      entry.observer.next({ result: { type: 'data', data: answer.data } })
      entry.observer.complete()
    })
  }

  const fail = (entry: Entry, error: Error) => {
    forget(entry)
    deliver(() => entry.observer.error(TRPCClientError.from(error)))
  }

  const forget = (entry: Entry) => {
    entry.withdraw?.()
    vehicle.forget(entry.id)
    if (entries.delete(entry)) vehicle.mayRest()
  }

  const deliver = (tell: () => void) => {
    try {
      tell()
    } catch (thrown) {
      onError(toError(thrown))
    }
  }

  return {
    get wanted() {
      return entries.size > 0
    },
    add(operation, observer) {
      const id = vehicle.nextId(answer => received(entry, answer))
      const entry: Entry = { id, op: operation, observer, via: null, withdraw: null }
      entries.add(entry)
      if (transport) send(entry, transport)
      else vehicle.want()
      return () => forget(entry)
    },
    opened(opened) {
      transport = opened
      for (const entry of entries) if (!entry.via && transport === opened) send(entry, opened)
    },
    left() {
      transport = null
    },
    lost(lost, cause) {
      for (const entry of entries) {
        if (entry.via !== lost) continue
        const { type, path } = entry.op
        const message = `The connection was lost before the ${type} "${path}" was answered: it may or may not have run. Look before you repeat it.`
        fail(entry, new SluiceError('OUTCOME_UNKNOWN', message, { cause }))
      }
    },
    closed(why) {
      // Those that are here now, and not those that the news will lead to be sent again.
      for (const entry of Array.from(entries)) fail(entry, why)
    },
    awaits: left => [...entries].some(({ via }) => via === left),
  }
}
