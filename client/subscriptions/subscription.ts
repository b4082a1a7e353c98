/**
 * One subscription of the application: a cursor that outlives transports, and an observer. It knows nothing of
 * sockets and timers; the registry asks for it again whenever that is needed.
 */
import { TRPCClientError } from '@trpc/client'
import type { OperationResultEnvelope } from '@trpc/client'
import type { AnyRouter } from '@trpc/server'
import type { Observer } from '@trpc/server/observable'
import { toError, type SluiceError } from '../../shared/errors.ts'
import type { Lag } from '../../shared/items.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { AskedSubscription, ClientError } from '../transports/transport.ts'
import type { Flow } from './inbox.ts'
import { Repeats } from './repeats.ts'

/** What a link's observer receives: exactly what tRPC's own links give it. */
export type ResultObserver = Observer<OperationResultEnvelope<unknown, ClientError>, ClientError>

export interface SubscriptionOptions {
  readonly path: string
  /** What the application passed: an id to begin after is looked for in it. */
  readonly input: unknown
  /** The same through the transformer. */
  readonly serialized: unknown
  readonly observer: ResultObserver
  readonly flow: Flow | undefined
  /** Takes how far behind it is, where somebody wants to know. */
  readonly onLag: ((lag: Lag) => void) | undefined
  /** Where it stands, and whether the server may have begun it: for one that another tab has had before. */
  readonly place?: { readonly cursor: string | undefined; readonly again: boolean }
  /** Takes what a callback of the application throws. */
  readonly onError: (error: Error) => void
}

export class Subscription {
  readonly #options: SubscriptionOptions
  readonly #repeats = new Repeats()
  #cursor: string | undefined
  #received = false
  #asked = 0
  #sent = false
  #over = false
  #connecting = false

  constructor(options: SubscriptionOptions) {
    this.#options = options
    const { input, place } = options
    this.#cursor = place ? place.cursor : lastEventIdOf(input)
    this.#sent = place?.again ?? false
  }

  /** Where it stands: the last event that was handed over, or else where it began. */
  get cursor(): string | undefined {
    return this.#cursor
  }

  /** The room of its consumer, where that says how much it can take. */
  get flow(): Flow | undefined {
    return this.#options.flow
  }

  /** True when asking for it again brings what comes after the last event that was received. */
  get resumable(): boolean {
    return this.#received
  }

  get over(): boolean {
    return this.#over
  }

  /** The request for it as things stand now, under an id of its own: what is late for an earlier one finds nobody. */
  ask(id: RequestId): AskedSubscription {
    this.#asked += 1
    if (this.#asked > 1) this.#repeats.expect()
    const { path, input: own, serialized, flow, onLag } = this.#options
    return {
      id,
      path,
      input: { own, serialized },
      lastEventId: this.#cursor,
      again: this.#sent,
      lag: onLag !== undefined,
      flow,
      cursor: () => this.#cursor,
      askAgain: () => this.#repeats.expect(),
    }
  }

  /** What was asked for has been sent, so that the server may have begun. */
  sent(): void {
    this.#sent = true
  }

  /** It waits for a connection, the first or another. */
  connecting(why: SluiceError | ClientError | null): void {
    if (this.#connecting && why === null) return
    this.#connecting = true
    const error = why === null ? null : TRPCClientError.from<AnyRouter>(why)
    this.#tell(observer => observer.next({ result: { type: 'state', state: 'connecting', error } }))
  }

  started(position: string | undefined): void {
    // A quiet subscription resumes from where it began; one that has received something knows better.
    if (!this.#received && position !== undefined) this.#cursor = position
    this.#connecting = false
    this.#tell(observer => observer.next({ result: { type: 'started' } }))
    this.#tell(observer => observer.next({ result: { type: 'state', state: 'pending', error: null } }))
  }

  /** @param size what of the bytes received is its share. */
  next(data: unknown, eventId: string | undefined, size = 0): void {
    const { flow } = this.#options
    if (flow) flow.receive(size, () => this.#next(data, eventId))
    else this.#next(data, eventId)
  }

  #next(data: unknown, eventId: string | undefined): void {
    if (eventId === undefined) {
      this.#tell(observer => observer.next({ result: { type: 'data', data } }))
      return
    }
    if (this.#repeats.isRepeat(eventId)) return
    // Before the event is handed over: a connection that is lost meanwhile must not bring it again.
    this.#cursor = eventId
    this.#received = true
    this.#tell(observer => observer.next({ result: { type: 'data', id: eventId, data } }))
  }

  /** The server says how far behind it is. */
  lagging(lag: Lag): void {
    this.#tell(() => this.#options.onLag?.(lag))
  }

  /** The server has nothing more to say. */
  stopped(): void {
    this.#tell(observer => observer.next({ result: { type: 'stopped' } }))
    this.#tell(observer => observer.next({ result: { type: 'state', state: 'idle', error: null } }))
    this.complete()
  }

  /** The application, or the link as a whole, wants no more. */
  complete(): void {
    this.#end(observer => observer.complete())
  }

  fail(error: ClientError | SluiceError): void {
    this.#end(observer => observer.error(TRPCClientError.from(error)))
  }

  /** The application has left: nobody is told anything any more. */
  leave(): void {
    this.#over = true
  }

  #end(tell: (observer: ResultObserver) => void): void {
    if (this.#over) return
    this.#over = true
    this.#deliver(tell)
  }

  #tell(tell: (observer: ResultObserver) => void): void {
    if (!this.#over) this.#deliver(tell)
  }

  /** A callback that throws is the application's error, and must not cost the others in the same frame theirs. */
  #deliver(tell: (observer: ResultObserver) => void): void {
    try {
      tell(this.#options.observer)
    } catch (thrown) {
      this.#options.onError(toError(thrown))
    }
  }
}

function lastEventIdOf(input: unknown): string | undefined {
  if (typeof input !== 'object' || input === null) return undefined
  const { lastEventId } = input as { lastEventId?: unknown }
  return typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : undefined
}
