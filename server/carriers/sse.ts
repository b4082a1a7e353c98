/**
 * One subscription over HTTP, exactly as tRPC answers `httpSubscriptionLink`, an `EventSource` or `curl -N`. Wire:
 * docs/wire.md, section 3. The response is one connection with one subscription on it; how its bytes reach the peer
 * is the business of the host (node.ts, fetch.ts).
 */
import { TRPCError } from '@trpc/server'
import type { TRPCRequestInfo } from '@trpc/server/http'
import type { TRPCErrorShape } from '@trpc/server/rpc'
import type { Timer } from '../../shared/clock.ts'
import { SluiceError } from '../../shared/errors.ts'
import { negotiate, noExtensions } from '../../shared/protocol/negotiate.ts'
import { sseHeaders } from '../../shared/protocol/sse.ts'
import { countRefusal } from '../observe/counters.ts'
import { withLastEventId } from '../procedures/call.ts'
import { callSubscription } from '../procedures/call-subscription.ts'
import type { Origin } from '../procedures/present-error.ts'
import { Subscription, type SubscriptionOwner, type SubscriptionTask } from '../procedures/subscription.ts'
import type { Connection, Feeding, Place } from '../session/connections.ts'
import type { Expiry } from '../session/expiry.ts'
import { Outlet } from '../session/outlet.ts'
import { EventStream, type EventStreamOwner } from './event-stream.ts'
import type { SubscriptionRequest } from './request.ts'
import { expiryByEnding, openEventStream, presentRefusal, refuse, respondWithError } from './host.ts'
import type { HostListener, ResponseHost, ResponseWire, StreamingDeps } from './host.ts'
import { RawInput } from './input.ts'

export interface SseDeps extends StreamingDeps {
  readonly allowMethodOverride: boolean
}

export class SseConnection
  implements Connection, EventStreamOwner, HostListener, SubscriptionOwner, SubscriptionTask
{
  readonly carrier = 'sse'
  place: Place | null = null
  readonly path: string
  readonly tellPosition: boolean
  readonly tellLag: boolean
  readonly abortErrorEnds = true

  readonly #host: ResponseHost
  readonly #deps: SseDeps
  readonly #input: RawInput
  /** What is asked for; null once that was called, which is all that it is needed for. */
  #request: SubscriptionRequest | null
  /** What the application is told of the request; null once the head is sent. */
  #info: TRPCRequestInfo | null
  readonly #stream: EventStream
  readonly #subscription: Subscription
  readonly #expiry: Expiry | null
  readonly #limit: Timer | null
  #ctx: unknown = undefined
  /** Both null until the head is sent. */
  #outlet: Outlet | null = null
  #wire: ResponseWire | null = null
  /** True when the request did not arrive in time: there is to be an answer without a stream. */
  #late = false
  /** True when there was one. */
  #failed = false
  #over = false

  constructor(request: SubscriptionRequest, host: ResponseHost, deps: SseDeps) {
    const { router } = deps.desk
    const extensions = negotiate(request.head.url.searchParams)
    this.path = request.path
    this.tellPosition = extensions.position
    this.tellLag = extensions.lag && request.lag
    this.#request = request
    this.#host = host
    this.#deps = deps
    this.#input = new RawInput(request.head, router, this)
    this.#info = this.#toInfo(request)
    this.#stream = new EventStream(deps, extensions, this)
    this.#expiry = expiryByEnding(deps, () => this.dismiss())
    this.#subscription = new Subscription(null, this, this.#stream, deps, this)
    const { maxDurationMs } = router._def._config.sse ?? {}
    this.#limit = maxDurationMs ? deps.clock.after(maxDurationMs, () => this.dismiss()) : null
    host.listen(this)
  }

  get bufferedBytes(): number {
    return this.#outlet?.bufferedBytes ?? 0
  }

  get pending(): ResponseWire | null {
    return this.#wire
  }

  feeding(): Iterable<Feeding> {
    const { feeding } = this.#subscription
    return feeding ? [feeding] : []
  }

  get busy(): boolean {
    return true // a response is its subscription
  }

  /** Ends the response without a `return` event, upon which the client comes back with its cursor. */
  dismiss(): void {
    this.#subscription.stop()
  }

  async close(): Promise<void> {
    this.dismiss()
    await this.#subscription.ended
  }

  gone(): void {
    if (!this.#over) this.#subscription.stop()
  }

  /** The response ends at once when the subscription is told to: its clean-up is not the client's concern. */
  stopping(): void {
    this.#end()
  }

  ended(): void {
    this.#over = true
    this.#end()
    this.#limit?.cancel()
    this.#expiry?.[Symbol.dispose]()
    this.#deps.connections.remove(this)
  }

  open(): Outlet {
    const info = this.#info
    if (!info) throw new SluiceError('INTERNAL', 'The head of a response was to be sent twice.')
    if (this.#late) throw new SluiceError('SILENT_PEER', 'The request did not arrive.')
    this.#info = null
    this.#wire = openEventStream(this.#host, this.#deps, { ctx: this.#ctx, info, errors: [] })
    this.#outlet = new Outlet(this.#wire, this.#deps.outletHighWater, this.#deps.counters)
    return this.#outlet
  }

  fail(shape: TRPCErrorShape): void {
    this.#failed = true
    respondWithError(this.#host, this.#deps.desk, shape)
  }

  async invoke(signal: AbortSignal): Promise<unknown> {
    const request = this.#request
    const info = this.#info
    if (!request || !info) throw new SluiceError('INTERNAL', 'A subscription was to be called twice.')
    this.#request = null
    // A context that cannot be made is told after what is wrong with the request itself, as tRPC has it.
    const failure = await this.#createContext(info)
    this.#check(request)
    if (failure) throw failure.cause
    // An empty id is none: `lastEventId=` in a URL.
    const { path, again, lastEventId } = request
    const call = {
      path,
      type: 'subscription' as const,
      ctx: this.#ctx,
      signal,
      batchIndex: 0,
      getRawInput: () => this.#readInput(lastEventId),
    }
    return callSubscription(this.#deps, call, { again, lastEventId })
  }

  origin(): Origin {
    const { path } = this
    return { req: this.#host.req, type: 'subscription', path, input: this.#input.known(), ctx: this.#ctx }
  }

  async readBody(): Promise<string> {
    try {
      return await this.#host.readBody()
    } catch (thrown) {
      if (thrown instanceof TRPCError && thrown.code === 'PAYLOAD_TOO_LARGE') {
        // The answer is a stream with an error in it: its status will not tell.
        countRefusal(this.#deps.counters, thrown.code)
      }
      this.#late = thrown instanceof TRPCError && thrown.code === 'TIMEOUT'
      throw thrown
    }
  }

  inputInvalid(): void {
    countRefusal(this.#deps.counters, 'MESSAGE_INVALID')
  }

  #end(): void {
    this.#stream[Symbol.dispose]()
    this.#openIfSilent()
    this.#outlet?.close()
    this.#wire?.end()
  }

  /** One that is stopped before it began still gets an answer: an empty stream, after which the client comes back. */
  #openIfSilent(): void {
    if (this.#wire || this.#failed) return
    try {
      this.open()
    } catch (thrown) {
      this.fail(this.#deps.desk.handle(thrown, this.origin()))
    }
  }

  async #createContext(info: TRPCRequestInfo): Promise<{ readonly cause: unknown } | null> {
    try {
      this.#ctx = await this.#host.createContext(info)
      this.#expiry?.follow(this.#ctx)
      return null
    } catch (cause) {
      return { cause }
    }
  }

  #check({ head }: SubscriptionRequest): void {
    if (this.#host.refusal) throw this.#host.refusal
    if (head.method !== 'GET' && !(head.method === 'POST' && this.#deps.allowMethodOverride)) {
      throw new TRPCError({
        code: 'METHOD_NOT_SUPPORTED',
        message: `Unsupported ${head.method}-request to subscription procedure at path "${this.path}"`,
      })
    }
    if (this.#deps.desk.router._def._config.sse?.enabled === false) {
      throw new TRPCError({
        code: 'METHOD_NOT_SUPPORTED',
        message: 'Missing experimental flag "sseSubscriptions"',
      })
    }
  }

  async #readInput(lastEventId: string | null): Promise<unknown> {
    return withLastEventId(await this.#input.read(), lastEventId || null)
  }

  #toInfo({ head, path, procedure, connectionParams, lastEventId }: SubscriptionRequest): TRPCRequestInfo {
    const host = this.#host
    const call = {
      path,
      procedure,
      batchIndex: 0,
      getRawInput: () => this.#readInput(lastEventId),
      result: () => this.#input.known(),
    }
    return {
      isBatchCall: false,
      accept: null,
      calls: [call],
      type: 'subscription',
      connectionParams,
      get signal() {
        return host.gone
      },
      url: head.url,
    }
  }
}

/**
 * Answers a subscription while the server drains. A plain 503 would end an `EventSource` for ever; what lets it
 * come back is a stream that ends with an error which tRPC's client knows to be passing.
 */
export function turnAway(request: SubscriptionRequest, host: ResponseHost, deps: SseDeps): void {
  const { head } = request
  const error = new SluiceError('DRAINING', 'This server is going away. Connect again.')
  const isEventSource = head.header('accept')?.includes('text/event-stream') ?? false
  if (!isEventSource || negotiate(head.url.searchParams).position)
    return refuse(host, error, deps, { path: request.path })
  const shape = presentRefusal(host, error, deps, { path: request.path })
  const wire = host.open(200, new Headers(sseHeaders))
  const outlet = new Outlet(wire, deps.outletHighWater, deps.counters)
  using stream = new EventStream(deps, noExtensions, {
    open: () => outlet,
    fail: () => {}, // the head is sent
    dismiss: () => {},
  })
  stream.error(shape)
  outlet.close()
  wire.end()
}
