/**
 * One WebSocket connection, from hello to goodbye: reads messages, starts and stops subscriptions, ends all.
 * Messages are handled concurrently, as they come. Wire: docs/wire.md, section 2.
 */
import { TRPCError } from '@trpc/server'
import type { Encoder } from '@trpc/server/adapters/ws'
import type { TRPCRequestInfo } from '@trpc/server/http'
import type { Codec, Format } from '../../shared/codec/codec.ts'
import { errorTable, isSluiceError, type SluiceErrorCode } from '../../shared/errors.ts'
import { ping, pong, type RequestId } from '../../shared/protocol/messages.ts'
import type { Extensions } from '../../shared/protocol/negotiate.ts'
import { Scope } from '../../shared/scope.ts'
import { countRefusal } from '../observe/counters.ts'
import { settlesWithin } from '../procedures/grace.ts'
import type { Origin } from '../procedures/present-error.ts'
import type { SubscriptionDeps, SubscriptionTask } from '../procedures/subscription.ts'
import { Answers, MessageWriter } from './answers.ts'
import type { Connection, Connections } from './connections.ts'
import { Credits } from './credits.ts'
import { decodeFrame, parseMessages, toRefusal } from './frames.ts'
import { parseHello, readConnectionParams, saysWho } from './hello.ts'
import { Expiry, type ExpiryOptions } from './expiry.ts'
import { startIdleWatch, type IdleWatch } from './idle.ts'
import type { Incoming } from './incoming.ts'
import type { Limits } from './limits.ts'
import { startHeartbeat, type Heartbeat, type KeepAlive } from './liveness.ts'
import { Outlet } from './outlet.ts'
import { Rate } from './rate.ts'
import { Reading } from './reading.ts'
import { Subscriptions } from './subscriptions.ts'
import { toTask, type Caller, type Context } from './task.ts'
import type { DuplexWire } from './wire.ts'

export interface SessionDeps extends SubscriptionDeps {
  readonly connections: Connections
  readonly limits: Limits
  /** Reads text frames, and binary ones where no codec was agreed on. */
  readonly encoder: Encoder
  /** How messages are written where no codec was agreed on. */
  readonly format: Format
  readonly keepAlive: KeepAlive
  /** Leaves the client's PING unanswered, as tRPC's option of that name does. */
  readonly dangerouslyDisablePong: boolean
  /** The longest batch of messages in one frame, by tRPC's option of that name, and refused in its words. */
  readonly maxBatchSize: number | undefined
  /** Null where contexts hold for as long as their connections. */
  readonly expiry: ExpiryOptions | null
}

/** What is known of the peer when its socket opens. */
export interface Guest {
  readonly req: unknown
  readonly extensions: Extensions
  /** What it would like binary frames to be in, if we have that; it understands text at all times. */
  readonly codec: Codec | null
  /** Whether its first message says who it is. */
  readonly sendsParams: boolean
  createContext(info: TRPCRequestInfo): unknown
}

/** How long a peer may take to answer a close frame, in milliseconds. */
const goodbyeMs = 1_000

export class Session implements Connection {
  readonly carrier = 'websocket'
  readonly ended: Promise<void>

  readonly #wire: DuplexWire
  readonly #guest: Guest
  readonly #deps: SessionDeps
  readonly #outlet: Outlet
  readonly #writer: MessageWriter
  readonly #subscriptions: Subscriptions
  /** Of those subscriptions whose client counts. */
  readonly #credits = new Map<RequestId, Credits>()
  readonly #caller: Caller
  readonly #heartbeat: Heartbeat
  readonly #reading: Reading
  readonly #idle: IdleWatch
  readonly #rate: Rate
  readonly #expiry: Expiry | null
  readonly #gone = new AbortController()

  /** Being made, or made; null until the guest has said who it is. */
  #context: Promise<Context> | null = null
  #ctx: unknown = undefined
  /** Queries and mutations that have not been answered. */
  #calls = 0
  /** True once the guest was told to leave: what it still says is not listened to. */
  #expelled = false

  constructor(wire: DuplexWire, guest: Guest, deps: SessionDeps) {
    this.#wire = wire
    this.#guest = guest
    this.#deps = deps
    this.#outlet = new Outlet(wire, deps.limits.outletHighWater, deps.counters)
    const { codec } = guest
    const formatFor = (path?: string) => (codec ? codec.formatFor(path) : deps.format)
    this.#writer = new MessageWriter(this.#outlet, formatFor, deps.encodings, deps.desk, () =>
      this.#nowhere(),
    )
    this.#subscriptions = new Subscriptions(deps, deps.limits.maxSubscriptions)
    this.#caller = {
      req: guest.req,
      deps,
      extensions: guest.extensions,
      ctx: () => this.#ctx,
    }
    this.#heartbeat = startHeartbeat(deps.keepAlive, deps.clock, {
      ping: () => this.#outlet.send(ping),
      cutOff: () => wire.terminate(),
    })
    this.#reading = new Reading(wire, this.#outlet, deps.limits.outletHighWater, () =>
      this.#heartbeat.heard(),
    )
    const { messagesPerSecond, maxMessageBurst, idleMs } = deps.limits
    this.#rate = new Rate(messagesPerSecond, maxMessageBurst, deps.clock)
    this.#idle = startIdleWatch(idleMs, deps.clock, {
      isBusy: () => this.busy,
      end: () => this.#expel('IDLE'),
    })
    this.#expiry =
      deps.expiry &&
      new Expiry(deps.expiry, deps.clock, {
        renew: () => this.#askToRenew(),
        expired: () => this.#expel('CONTEXT_EXPIRED'),
      })
    this.ended = this.#run()
  }

  get bufferedBytes(): number {
    return this.#outlet.bufferedBytes
  }

  get busy(): boolean {
    return this.#calls > 0 || this.#subscriptions.size > 0
  }

  dismiss(withinMs = 0): void {
    const spread = withinMs > 0 && this.#guest.extensions.spread
    this.#writer.notify({ id: null, method: 'reconnect', ...(spread && { params: { withinMs } }) })
  }

  async close(): Promise<void> {
    this.#sayGoodbye(1012, 'service restart')
    await this.#subscriptions.close()
    if (!(await settlesWithin(this.ended, goodbyeMs, this.#deps.clock))) this.#wire.terminate()
    await this.ended
  }

  #sayGoodbye(code?: number, reason?: string): void {
    this.#wire.resume() // to hear the answer
    this.#outlet.flush() // what was said before comes before
    this.#wire.close(code, reason)
  }

  /** Says goodbye for breaking a limit. One who does not answer is cut off. */
  #expel(code: SluiceErrorCode): void {
    if (this.#expelled) return
    this.#expelled = true
    countRefusal(this.#deps.counters, code)
    this.#sayGoodbye(errorTable[code].close, code)
    void settlesWithin(this.ended, goodbyeMs, this.#deps.clock).then(left => left || this.#wire.terminate())
  }

  async #run(): Promise<void> {
    try {
      await using scope = new Scope() // everything below ends where this block ends
      scope.use(this.#outlet)
      scope.use(this.#subscriptions)
      scope.defer(() => this.#gone.abort()) // before the subscriptions end: a procedure may wait for it, by its context
      scope.use(this.#heartbeat)
      scope.use(this.#idle)
      if (this.#expiry) scope.use(this.#expiry)
      if (this.#guest.sendsParams) scope.use(this.#awaitHello())
      else this.#greet(() => null)
      await this.#wire.listen({
        frame: (data, binary) => this.#receiveOrEnd(data, binary),
        control: () => this.#admits(1),
        failed: (error, code) => {
          countRefusal(this.#deps.counters, code)
          this.#deps.desk.report(error, this.#nowhere())
        },
      })
    } catch (bug) {
      this.#deps.desk.report(bug, this.#nowhere())
    }
  }

  #awaitHello(): Disposable {
    const { clock, limits } = this.#deps
    return clock.after(limits.helloMs, () => {
      if (!this.#context) this.#expel('SILENT_PEER')
    })
  }

  /** The guest has said who it is, or need not. */
  #greet(readParams: () => TRPCRequestInfo['connectionParams']): void {
    this.#context = this.#createContext(readParams)
  }

  async #createContext(readParams: () => TRPCRequestInfo['connectionParams']): Promise<Context> {
    try {
      this.#ctx = await this.#makeContext(readParams())
      return { ok: true }
    } catch (thrown) {
      const error = this.#tellOfNone(thrown)
      const expired = isSluiceError(thrown) && thrown.code === 'CONTEXT_EXPIRED'
      // Not at once: requests that have arrived with it get their answer.
      setImmediate(() => {
        if (expired) this.#expel('CONTEXT_EXPIRED')
        else this.#sayGoodbye()
      })
      return { ok: false, error }
    }
  }

  async #makeContext(connectionParams: TRPCRequestInfo['connectionParams']): Promise<unknown> {
    const ctx = await this.#guest.createContext({
      connectionParams,
      calls: [],
      isBatchCall: false,
      accept: null,
      type: 'unknown',
      signal: this.#gone.signal,
      url: null,
    })
    this.#expiry?.follow(ctx)
    return ctx
  }

  /** A stock client is left alone: it comes back with fresh params once the connection has ended. */
  #askToRenew(): void {
    if (this.#guest.extensions.renewal) this.#writer.notify({ id: null, method: 'renew' })
  }

  /** The guest says anew who it is. If that fails, what it said before holds until it runs out. */
  async #renew(hello: unknown): Promise<void> {
    try {
      this.#ctx = await this.#makeContext(parseHello(hello))
    } catch (thrown) {
      this.#tellOfNone(thrown)
      return
    }
    await this.#deps.authority?.review(({ ctx }) => ctx === this.#ctx)
  }

  /** Reports an error that belongs to no request, and tells the client. */
  #tellOfNone(thrown: unknown): TRPCError {
    const error = this.#deps.desk.report(thrown, this.#nowhere())
    this.#writer.error({ id: null }, this.#deps.desk.present(error, this.#nowhere()))
    return error
  }

  /** What a peer sends is answered politely; if that throws, it is our own bug, and ends this session alone. */
  #receiveOrEnd(data: unknown, binary: boolean): void {
    try {
      this.#receive(data, binary)
    } catch (bug) {
      this.#deps.desk.report(bug, this.#nowhere())
      this.#sayGoodbye(errorTable.INTERNAL.close, 'INTERNAL')
    }
  }

  /** Whether so many more messages are within the limit; a guest that sends more is told to leave. */
  #admits(count: number): boolean {
    if (this.#expelled) return false
    if (this.#rate.take(count)) return true
    this.#expel('TOO_MANY_MESSAGES')
    return false
  }

  #receive(data: unknown, binary: boolean): void {
    this.#heartbeat.heard()
    if (!this.#admits(1)) return
    if (!Buffer.isBuffer(data)) {
      this.#refuse(
        new TRPCError({ code: 'UNPROCESSABLE_CONTENT', message: 'Unexpected WebSocket message format' }),
      )
      return
    }
    const { counters } = this.#deps
    counters.bytesIn += data.byteLength
    const frame = binary ? data : data.toString('utf8')
    if (frame === pong) return
    if (frame === ping) {
      if (!this.#deps.dangerouslyDisablePong) this.#outlet.send(pong)
      return this.#reading.pauseWhileFull()
    }
    this.#idle.active()
    const context = this.#context
    if (!context) {
      this.#greet(() => readConnectionParams(this.#deps.encoder, frame))
      return
    }
    const messages = this.#read(frame)
    counters.messagesIn += messages.length
    // The frame itself was one.
    if (messages.length > 1 && !this.#admits(messages.length - 1)) return
    messages.forEach((incoming, index) => this.#handle(incoming, index, context))
    this.#reading.pauseWhileFull()
  }

  /** The messages of one frame; none if one of them is wrong, which is answered. */
  #read(frame: string | Uint8Array): Incoming[] {
    try {
      const decoded = decodeFrame(frame, this.#guest.codec, this.#deps)
      const [first, ...others] = decoded.messages
      if (this.#guest.extensions.renewal && others.length === 0 && saysWho(first)) {
        void this.#renew(first) // never rejects: what fails is told
        return []
      }
      return parseMessages(decoded, this.#guest.extensions, this.#deps)
    } catch (thrown) {
      this.#refuse(toRefusal(thrown, this.#deps.counters))
      return []
    }
  }

  /** Answers what cannot be told apart from other requests, for want of an id. It is the peer's fault: no report. */
  #refuse(error: TRPCError): void {
    this.#writer.error({ id: null }, this.#deps.desk.present(error, this.#nowhere()))
  }

  #handle(incoming: Incoming, batchIndex: number, context: Promise<Context>): void {
    if ('granted' in incoming) {
      const { id, events } = incoming.granted
      this.#credits.get(id)?.grant(events) // else its stream has just ended
      return
    }
    const { message, again, lag, credit, idempotencyKey } = incoming
    const { id, jsonrpc } = message
    const path = message.method === 'subscription.stop' ? undefined : message.params.path
    const credits = credit && new Credits(credit)
    const envelope = jsonrpc === undefined ? { id } : { id, jsonrpc }
    const answers = new Answers(this.#writer, envelope, path, credits)
    if (id === null) {
      const error = new TRPCError({ code: 'PARSE_ERROR', message: '`id` is required' })
      answers.error(this.#deps.desk.handle(error, this.#nowhere()))
    } else if (message.method === 'subscription.stop') {
      this.#subscriptions.stop(id)
    } else if (message.method === 'subscription') {
      const task = toTask(message, { batchIndex, again, lag }, context, this.#caller)
      try {
        const { ended } = this.#subscriptions.start(id, task, answers)
        this.#idle.hold()
        if (credits) this.#credits.set(id, credits)
        void ended.then(() => {
          this.#credits.delete(id)
          this.#settled()
        })
      } catch (thrown) {
        answers.error(this.#deps.desk.handle(thrown, task.origin()))
      }
    } else {
      const circumstances = { batchIndex, again, lag, idempotencyKey }
      void this.#answer(toTask(message, circumstances, context, this.#caller), answers)
    }
  }

  async #answer(task: SubscriptionTask, answers: Answers): Promise<void> {
    this.#calls += 1
    const observation = this.#deps.observers.begin(task.origin())
    let failure: unknown = null
    try {
      // As in tRPC, a call outlives its socket: the signal is never aborted.
      const result = await observation.run(() => task.invoke(new AbortController().signal))
      answers.data(refuseStream(result, task.origin().type))
    } catch (thrown) {
      failure = thrown
      answers.error(this.#deps.desk.handle(thrown, task.origin()))
    } finally {
      observation.end(failure)
      this.#calls -= 1
      this.#reading.pauseWhileFull()
      this.#settled()
    }
  }

  /** A subscription or a call has ended. */
  #settled(): void {
    this.#idle.active()
    this.#deps.connections.checkCalm()
  }

  /** Where an error comes from that belongs to no request. */
  #nowhere(): Origin {
    return { req: this.#guest.req, type: 'unknown', path: undefined, input: undefined, ctx: this.#ctx }
  }
}

function refuseStream(result: unknown, type: string): unknown {
  const isStream =
    typeof result === 'object' && result !== null && (Symbol.asyncIterator in result || 'subscribe' in result)
  if (!isStream) return result
  throw new TRPCError({
    code: 'UNSUPPORTED_MEDIA_TYPE',
    message: `Cannot return an async iterable or observable from a ${type} procedure with WebSockets`,
  })
}
