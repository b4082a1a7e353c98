/**
 * One subscription over HTTP, exactly as tRPC answers `httpSubscriptionLink`, an `EventSource` or `curl -N`. Wire:
 * docs/wire.md, section 3. The response is one connection with one subscription on it; how its bytes reach the peer
 * is the business of the host (node.ts, fetch.ts).
 */
import { TRPCError } from '@trpc/server'
import type { AnyTRPCRouter } from '@trpc/server'
import type { TRPCRequestInfo } from '@trpc/server/http'
import type { TRPCErrorShape } from '@trpc/server/rpc'
import { SluiceError } from '../../shared/errors.ts'
import { negotiate, noExtensions, type Extensions } from '../../shared/protocol/negotiate.ts'
import { sseHeaders } from '../../shared/protocol/sse.ts'
import { countRefusal } from '../observe/counters.ts'
import { withLastEventId } from '../procedures/call.ts'
import { callSubscription } from '../procedures/call-subscription.ts'
import type { Origin } from '../procedures/present-error.ts'
import { Subscription, type SubscriptionTask } from '../procedures/subscription.ts'
import type { Connection } from '../session/connections.ts'
import type { Expiry } from '../session/expiry.ts'
import { Outlet } from '../session/outlet.ts'
import { EventStream } from './event-stream.ts'
import type { SubscriptionRequest } from './request.ts'
import { expiryByEnding, openEventStream, presentRefusal, refuse, respondWithError } from './host.ts'
import type { ResponseHost, ResponseWire, StreamingDeps } from './host.ts'
import { createInput, type RawInput } from './input.ts'

export interface SseDeps extends StreamingDeps {
  readonly allowMethodOverride: boolean
}

export class SseConnection implements Connection {
  readonly carrier = 'sse'
  readonly ended: Promise<void>

  readonly #request: SubscriptionRequest
  readonly #host: ResponseHost
  readonly #deps: SseDeps
  readonly #router: AnyTRPCRouter
  readonly #input: RawInput
  readonly #info: TRPCRequestInfo
  readonly #subscription: Subscription
  readonly #expiry: Expiry | null
  #ctx: unknown = undefined
  /** Both null until the head is sent. */
  #outlet: Outlet | null = null
  #wire: ResponseWire | null = null
  /** True when there was an answer without a stream. */
  #failed = false

  constructor(request: SubscriptionRequest, host: ResponseHost, deps: SseDeps) {
    this.#request = request
    this.#host = host
    this.#deps = deps
    this.#router = deps.desk.router
    this.#input = createInput(request, this.#router, () => this.#readBody())
    this.#info = this.#toInfo()
    const extensions = negotiate(request.head.url.searchParams)
    const stream = new EventStream({
      router: this.#router,
      encodings: deps.encodings,
      extensions,
      clock: deps.clock,
      open: () => this.#open(),
      fail: shape => this.#fail(shape),
      stop: () => this.dismiss(),
    })
    this.#expiry = expiryByEnding(deps, () => this.dismiss())
    this.#subscription = new Subscription(this.#toTask(extensions), stream, deps)
    this.ended = this.#run(stream)
  }

  get bufferedBytes(): number {
    return this.#outlet?.bufferedBytes ?? 0
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
    await this.ended
  }

  async #run(stream: EventStream): Promise<void> {
    const { gone } = this.#host
    const stop = () => this.#subscription.stop()
    gone.addEventListener('abort', stop)
    if (gone.aborted) stop()
    const { maxDurationMs } = this.#router._def._config.sse ?? {}
    const limit = maxDurationMs ? this.#deps.clock.after(maxDurationMs, stop) : null

    // The response ends at once when the subscription is told to: its clean-up is not the client's concern.
    this.#subscription.signal.addEventListener('abort', () => this.#end(stream), { once: true })
    await this.#subscription.ended
    this.#end(stream)
    limit?.cancel()
    this.#expiry?.[Symbol.dispose]()
    gone.removeEventListener('abort', stop)
    this.#deps.connections.remove(this)
  }

  #end(stream: EventStream): void {
    stream[Symbol.dispose]()
    this.#openIfSilent()
    this.#outlet?.close()
    this.#wire?.end()
  }

  /** One that is stopped before it began still gets an answer: an empty stream, after which the client comes back. */
  #openIfSilent(): void {
    if (this.#wire || this.#failed) return
    try {
      this.#open()
    } catch (thrown) {
      this.#fail(this.#deps.desk.handle(thrown, this.#origin()))
    }
  }

  #fail(shape: TRPCErrorShape): void {
    this.#failed = true
    respondWithError(this.#host, this.#deps.desk, shape)
  }

  #toTask(extensions: Extensions): SubscriptionTask {
    const { path, lag } = this.#request
    return {
      path,
      tellPosition: extensions.position,
      tellLag: extensions.lag && lag,
      abortErrorEnds: true,
      origin: () => this.#origin(),
      invoke: async signal => {
        // A context that cannot be made is told after what is wrong with the request itself, as tRPC has it.
        const failure = await this.#createContext()
        this.#check()
        if (failure) throw failure.cause
        const call = {
          path,
          type: 'subscription' as const,
          ctx: this.#ctx,
          signal,
          batchIndex: 0,
          input: () => this.#readInput(),
        }
        const { again, lastEventId } = this.#request
        return callSubscription(this.#deps, call, { again, lastEventId })
      },
    }
  }

  async #createContext(): Promise<{ readonly cause: unknown } | null> {
    try {
      this.#ctx = await this.#host.createContext(this.#info)
      this.#expiry?.follow(this.#ctx)
      return null
    } catch (cause) {
      return { cause }
    }
  }

  #check(): void {
    const { head, path } = this.#request
    if (this.#host.refusal) throw this.#host.refusal
    if (head.method !== 'GET' && !(head.method === 'POST' && this.#deps.allowMethodOverride)) {
      throw new TRPCError({
        code: 'METHOD_NOT_SUPPORTED',
        message: `Unsupported ${head.method}-request to subscription procedure at path "${path}"`,
      })
    }
    if (this.#router._def._config.sse?.enabled === false) {
      throw new TRPCError({
        code: 'METHOD_NOT_SUPPORTED',
        message: 'Missing experimental flag "sseSubscriptions"',
      })
    }
  }

  async #readBody(): Promise<string> {
    try {
      return await this.#host.readBody()
    } catch (thrown) {
      if (thrown instanceof TRPCError && thrown.code === 'PAYLOAD_TOO_LARGE') {
        // The answer is a stream with an error in it: its status will not tell.
        countRefusal(this.#deps.counters, thrown.code)
      }
      throw thrown
    }
  }

  async #readInput(): Promise<unknown> {
    // An empty id is none: `lastEventId=` in a URL.
    return withLastEventId(await this.#input.read(), this.#request.lastEventId || null)
  }

  #open(): Outlet {
    this.#wire = openEventStream(this.#host, this.#deps, { ctx: this.#ctx, info: this.#info, errors: [] })
    this.#outlet = new Outlet(this.#wire, this.#deps.outletHighWater, this.#deps.counters)
    return this.#outlet
  }

  #toInfo(): TRPCRequestInfo {
    const { head, path, procedure, connectionParams } = this.#request
    const call = {
      path,
      procedure,
      batchIndex: 0,
      getRawInput: () => this.#readInput(),
      result: () => this.#input.known(),
    }
    return {
      isBatchCall: false,
      accept: null,
      calls: [call],
      type: 'subscription',
      connectionParams,
      signal: this.#host.gone,
      url: head.url,
    }
  }

  #origin(): Origin {
    const { path } = this.#request
    return { req: this.#host.req, type: 'subscription', path, input: this.#input.known(), ctx: this.#ctx }
  }
}

/**
 * Answers a subscription while the server drains. A plain 503 would end an `EventSource` for ever; what lets it
 * come back is a stream that ends with an error which tRPC's client knows to be passing.
 */
export function turnAway(request: SubscriptionRequest, host: ResponseHost, deps: SseDeps): void {
  const { head } = request
  const { desk } = deps
  const error = new SluiceError('DRAINING', 'This server is going away. Connect again.')
  const isEventSource = head.header('accept')?.includes('text/event-stream') ?? false
  if (!isEventSource || negotiate(head.url.searchParams).position)
    return refuse(host, error, deps, request.path)
  const shape = presentRefusal(host, error, deps, request.path)
  const wire = host.open(200, new Headers(sseHeaders))
  const outlet = new Outlet(wire, deps.outletHighWater, deps.counters)
  using stream = new EventStream({
    router: desk.router,
    encodings: deps.encodings,
    extensions: noExtensions,
    clock: deps.clock,
    open: () => outlet,
    fail: () => {}, // the head is sent
    stop: () => {},
  })
  stream.error(shape)
  outlet.close()
  wire.end()
}
