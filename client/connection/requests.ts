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
import type { ResultObserver } from '../subscriptions/subscription.ts'
import type { ClientError, Received, Transport } from '../transports/transport.ts'
import type { Passenger, Vehicle } from './connection.ts'

export interface RequestsOptions {
  readonly serialize: (input: unknown) => unknown
  /** Sends an operation over HTTP: where the transport takes none. */
  readonly overHttp: SendRequest
  /** Takes what a callback of the application throws. */
  readonly onError: (error: Error) => void
}

interface Entry {
  readonly operation: Operation
  readonly observer: ResultObserver
  /** Null until it is sent. */
  sent: { readonly id: RequestId; readonly transport: Transport } | null
  /** Takes it back from where it went over HTTP. */
  withdraw: (() => void) | null
}

export class Requests implements Passenger {
  readonly #vehicle: Vehicle
  readonly #options: RequestsOptions
  readonly #entries = new Set<Entry>()
  readonly #sent = new Map<RequestId, Entry>()
  /** The transport, once it is open. */
  #transport: Transport | null = null

  constructor(vehicle: Vehicle, options: RequestsOptions) {
    this.#vehicle = vehicle
    this.#options = options
  }

  get wanted(): boolean {
    return this.#entries.size > 0
  }

  /** What was sent is answered over the transport that it was sent on. */
  readonly movable = true

  /** Takes a query or mutation in, and returns its withdrawal: what has been sent may happen all the same. */
  add(operation: Operation, observer: ResultObserver): () => void {
    const entry: Entry = { operation, observer, sent: null, withdraw: null }
    this.#entries.add(entry)
    if (this.#transport) this.#send(entry, this.#transport)
    else this.#vehicle.want()
    return () => this.#forget(entry)
  }

  board(): void {}

  opened(transport: Transport): void {
    this.#transport = transport
    for (const entry of this.#entries) {
      if (entry.sent === null && transport === this.#transport) this.#send(entry, transport)
    }
  }

  received(message: Received): void {
    if (message.type !== 'data' && message.type !== 'error') return
    const entry = this.#sent.get(message.id)
    if (!entry) return
    this.#forget(entry)
    this.#deliver(() => {
      if (message.type === 'error') return entry.observer.error(message.error)
      entry.observer.next({ result: { type: 'data', data: message.data } })
      entry.observer.complete()
    })
  }

  interrupted(): void {}

  left(transport: Transport): void {
    if (this.#transport === transport) this.#transport = null
  }

  lost(transport: Transport, why: SluiceError): void {
    for (const entry of this.#present()) {
      if (entry.sent?.transport !== transport) continue
      const { type, path } = entry.operation
      this.#fail(
        entry,
        new SluiceError(
          'OUTCOME_UNKNOWN',
          `The connection was lost before the ${type} "${path}" was answered: it may or may not have run. ${
            type === 'mutation' ? 'Look before you repeat it.' : 'It can be repeated.'
          }`,
          { cause: why },
        ),
      )
    }
  }

  dismissed(why: SluiceError): void {
    for (const entry of this.#present()) this.#fail(entry, why)
  }

  awaitsAnswerOn(transport: Transport): boolean {
    for (const { sent } of this.#sent.values()) if (sent?.transport === transport) return true
    return false
  }

  /** Those that are here now, and not those that the news will lead to be sent again. */
  #present(): Entry[] {
    return [...this.#entries]
  }

  #send(entry: Entry, transport: Transport): void {
    const { type, path, input, context } = entry.operation
    if (!transport.request || type === 'subscription') {
      this.#forget(entry)
      entry.withdraw = this.#options.overHttp(entry.operation, entry.observer)
      return
    }
    const id = this.#vehicle.nextId()
    try {
      const { serialize } = this.#options
      // Not before it is known to be needed: superjson takes 430 µs for 10 kB of bytes, and a codec none (Node 20).
      const asked = {
        own: input,
        get serialized() {
          return serialize(input)
        },
      }
      transport.request({ id, kind: type, path, input: asked, idempotencyKey: idempotencyKeyOf(context) })
    } catch (thrown) {
      return this.#fail(entry, toError(thrown))
    }
    entry.sent = { id, transport }
    this.#sent.set(id, entry)
  }

  #fail(entry: Entry, error: Error | ClientError): void {
    this.#forget(entry)
    this.#deliver(() => entry.observer.error(TRPCClientError.from(error)))
  }

  #forget(entry: Entry): void {
    entry.withdraw?.()
    if (!this.#entries.delete(entry)) return
    if (entry.sent) this.#sent.delete(entry.sent.id)
    this.#vehicle.mayRest()
  }

  #deliver(tell: () => void): void {
    try {
      tell()
    } catch (thrown) {
      this.#options.onError(toError(thrown))
    }
  }
}
