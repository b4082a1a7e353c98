/**
 * One WebSocket connection, from hello to goodbye: reads messages, starts and stops subscriptions, ends all.
 * Messages are handled concurrently, as they come. Wire: docs/wire.md, section 2.
 */
import { TRPCError } from '@trpc/server'
import type { Timer } from '../../shared/clock.ts'
import type { Format } from '../../shared/codec/codec.ts'
import { errorTable, type SluiceErrorCode } from '../../shared/errors.ts'
import { ping, pong } from '../../shared/protocol/messages.ts'
import type { Extensions } from '../../shared/protocol/negotiate.ts'
import { Ending } from '../ending.ts'
import { countInvalid, countRefusal } from '../observe/counters.ts'
import { settlesWithin } from '../grace.ts'
import { Waiting } from '../rota.ts'
import type { Origin } from '../procedures/present-error.ts'
import type { SubscriptionDeps } from '../procedures/subscription.ts'
import type { Feeding } from '../topics/sink.ts'
import { Answers, MessageWriter, type Correspondent } from './answers.ts'
import { answerCall } from './calls.ts'
import type { Connection, Connections, Place } from './connections.ts'
import { Credits } from './credits.ts'
import type { Guest } from './guest.ts'
import { Identity, type Host } from './identity.ts'
import { decodeFrame, parseMessages, toRefusal, type FrameDeps } from './frames.ts'
import { parseHello, readConnectionParams, saysWho } from './hello.ts'
import type { ExpiryOptions } from './expiry.ts'
import type { Idler, IdleWatch, Rest } from './idle.ts'
import type { Incoming } from './incoming.ts'
import type { Heartbeats, Pinged } from './liveness.ts'
import { Outlet } from './outlet.ts'
import { Rate, type RateLimit } from './rate.ts'
import { Reading } from './reading.ts'
import { Subscriptions } from './subscriptions.ts'
import { Task, type Caller, type Context } from './task.ts'
import type { DuplexWire, WireListener } from './wire.ts'

export interface SessionDeps extends SubscriptionDeps, FrameDeps {
  readonly connections: Connections
  /** How messages are written where no codec was agreed on. */
  readonly formatFor: (path?: string) => Format
  readonly heartbeats: Heartbeats
  readonly idleWatch: IdleWatch
  /** Of messages. */
  readonly rateLimit: RateLimit
  /** Leaves the client's PING unanswered, as tRPC's option of that name does. */
  readonly dangerouslyDisablePong: boolean
  /** Null where contexts hold for as long as their connections. */
  readonly expiry: ExpiryOptions | null
}

/** In any codec. */
const noMessages = new Uint8Array(0)

/** How long a peer may take to answer a close frame, in milliseconds. */
const goodbyeMs = 1_000

export class Session
  extends Waiting
  implements Caller, Connection, Correspondent, Host, Idler, Pinged, WireListener
{
  readonly #wire: DuplexWire
  readonly #guest: Guest
  readonly deps: SessionDeps
  readonly #outlet: Outlet
  readonly #writer: MessageWriter
  readonly #subscriptions: Subscriptions
  /** There once it was full. */
  #reading: Reading | null = null
  readonly #rate: Rate
  readonly #identity: Identity
  /** How long the guest has to say who it is. */
  readonly #hello: Timer | null
  place: Place | null = null
  rest: Rest | null = null
  /** Queries and mutations that have not been answered. */
  #calls = 0
  /**
   * Expelled: the guest was told to leave, and what it still says is not listened to. Closed: the wire is gone. Ended: and
   * so is everything of it.
   */
  #at: 'open' | 'expelled' | 'closed' | 'ended' = 'open'
  /** Of the wire; null until somebody wants to know. */
  #gone: AbortController | null = null
  /** There once somebody waits for its end. */
  #ending: Ending | null = null

  constructor(wire: DuplexWire, guest: Guest, deps: SessionDeps) {
    super()
    const { limits, clock } = deps
    const { codec } = guest
    this.#wire = wire
    this.#guest = guest
    this.deps = deps
    this.#outlet = new Outlet(wire, limits.outletHighWater, deps.counters)
    const formatFor = codec ? (path?: string) => codec.formatFor(path) : deps.formatFor
    this.#writer = new MessageWriter(this.#outlet, formatFor, deps.encodings, deps.desk, this)
    this.#subscriptions = new Subscriptions(deps, limits.maxSubscriptions, this)
    this.#rate = new Rate(deps.rateLimit)
    this.#identity = new Identity(guest, this, deps.expiry, clock)
    this.#hello = guest.sendsParams ? clock.after(limits.helloMs, () => this.#missHello()) : null
    if (!guest.sendsParams) this.#identity.greet(() => null)
    deps.idleWatch.active(this)
    this.heard()
    wire.listen(this)
    if (codec) this.#outlet.send(noMessages) // by which the client knows that it has the codec here
  }

  get carrier(): 'websocket' {
    return 'websocket'
  }

  get req(): unknown {
    return this.#guest.req
  }

  get ctx(): unknown {
    return this.#identity.ctx
  }

  get extensions(): Extensions {
    return this.#guest.extensions
  }

  get bufferedBytes(): number {
    return this.#outlet.bufferedBytes
  }

  feeding(): Iterable<Feeding> {
    return this.#subscriptions.feeding()
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
    await this.#cutOffUnlessGone()
    await this.#whenEnded()
  }

  ping(): void {
    this.#outlet.send(ping)
  }

  cutOff(): void {
    this.#wire.terminate()
  }

  endIdle(): void {
    this.#expel('IDLE')
  }

  /** The peer has given a sign of life. */
  heard(): void {
    if (!this.#isGone) this.deps.heartbeats.heard(this)
  }

  /** What a peer sends is answered politely; if that throws, it is our own bug, and ends this session alone. */
  frame(data: unknown, binary: boolean): void {
    try {
      this.#receive(data, binary)
    } catch (bug) {
      this.deps.desk.report(bug, this.nowhere())
      this.#sayGoodbye(errorTable.INTERNAL.close, 'INTERNAL')
    }
  }

  control(ping: Uint8Array | null): void {
    if (!this.#admits(1) || !ping) return
    this.#outlet.sendBeside(gone => this.#wire.pong(ping, gone))
    this.#pauseWhileFull()
  }

  failed(error: Error, code: SluiceErrorCode): void {
    countRefusal(this.deps.counters, code)
    this.deps.desk.report(error, this.nowhere())
  }

  closed(): void {
    this.#at = 'closed'
    this.#hello?.cancel()
    this.#identity[Symbol.dispose]()
    this.unlink()
    this.deps.idleWatch.leave(this)
    this.#gone?.abort() // before the subscriptions end: a procedure may wait for it, by its context
    this.#subscriptions.stopAll()
    this.#endIfGone()
  }

  /** A subscription has ended. */
  freed(): void {
    this.#settled()
    this.#endIfGone()
  }

  /** Everything of it has ended once the wire is gone and no subscription is left. */
  #endIfGone(): void {
    if (this.#at !== 'closed' || this.#subscriptions.size > 0) return
    this.#at = 'ended'
    this.#outlet.close()
    this.deps.connections.remove(this)
    this.#ending?.reach()
  }

  get #isGone(): boolean {
    return this.#at === 'closed' || this.#at === 'ended'
  }

  #whenEnded(): Promise<void> {
    return this.#at === 'ended' ? Promise.resolve() : (this.#ending ??= new Ending()).wait()
  }

  /** Where an error comes from that belongs to no request. */
  nowhere(): Origin {
    return { req: this.#guest.req, type: 'unknown', path: undefined, input: undefined, ctx: this.ctx }
  }

  #sayGoodbye(code?: number, reason?: string): void {
    this.#wire.resume() // to hear the answer
    this.#outlet.flush() // what was said before comes before
    this.#wire.close(code, reason)
  }

  /** Says goodbye for breaking a limit. One who does not answer is cut off. */
  #expel(code: SluiceErrorCode): void {
    if (this.#at !== 'open') return
    this.#at = 'expelled'
    countRefusal(this.deps.counters, code)
    this.#sayGoodbye(errorTable[code].close, code)
    void this.#cutOffUnlessGone()
  }

  async #cutOffUnlessGone(): Promise<void> {
    if (!(await settlesWithin(this.#whenEnded(), goodbyeMs, this.deps.clock))) this.cutOff()
  }

  #missHello(): void {
    if (!this.#identity.context) this.#expel('SILENT_PEER')
  }

  /** Made when a context wants to know: with its listeners it is 800 B (Node 20). */
  get gone(): AbortSignal {
    if (!this.#gone) {
      this.#gone = new AbortController()
      if (this.#isGone) this.#gone.abort()
    }
    return this.#gone.signal
  }

  /** A stock client is left alone: it comes back with fresh params once the connection has ended. */
  askToRenew(): void {
    if (this.#guest.extensions.renewal) this.#writer.notify({ id: null, method: 'renew' })
  }

  turnOut(expired: boolean): void {
    if (expired) this.#expel('CONTEXT_EXPIRED')
    else this.#sayGoodbye()
  }

  /** Never rejects: what fails is told. */
  async #renew(hello: unknown): Promise<void> {
    try {
      await this.#identity.renew(countInvalid(this.deps.counters, () => parseHello(hello)))
    } catch (thrown) {
      this.tellOfNone(thrown)
      return
    }
    await this.deps.authority?.review(({ ctx }) => ctx === this.ctx)
  }

  /** Reports an error that belongs to no request, and tells the client. */
  tellOfNone(thrown: unknown): TRPCError {
    const error = this.deps.desk.report(thrown, this.nowhere())
    this.#writer.error({ id: null }, this.deps.desk.present(error, this.nowhere()))
    return error
  }

  /** Whether so many more messages are within the limit; a guest that sends more is told to leave. */
  #admits(count: number): boolean {
    if (this.#at !== 'open') return false
    if (this.#rate.take(count)) return true
    this.#expel('TOO_MANY_MESSAGES')
    return false
  }

  #receive(data: unknown, binary: boolean): void {
    this.heard()
    if (!this.#admits(1)) return
    if (!Buffer.isBuffer(data)) {
      this.#refuse(
        new TRPCError({ code: 'UNPROCESSABLE_CONTENT', message: 'Unexpected WebSocket message format' }),
      )
      return
    }
    const { counters } = this.deps
    counters.bytesIn += data.byteLength
    const frame = binary ? data : data.toString('utf8')
    if (frame === pong) return
    if (frame === ping) {
      if (!this.deps.dangerouslyDisablePong) this.#outlet.send(pong)
      return this.#pauseWhileFull()
    }
    this.deps.idleWatch.active(this)
    const { context } = this.#identity
    if (!context) {
      this.#identity.greet(() => countInvalid(counters, () => readConnectionParams(this.deps.encoder, frame)))
      return
    }
    const messages = this.#read(frame)
    counters.messagesIn += messages.length
    // The frame itself was one.
    if (messages.length > 1 && !this.#admits(messages.length - 1)) return
    messages.forEach((incoming, index) => this.#handle(incoming, index, context))
    this.#pauseWhileFull()
  }

  #pauseWhileFull(): void {
    const { limits } = this.deps
    if (!this.#outlet.room) return
    this.#reading ??= new Reading(this.#wire, this.#outlet, limits.outletHighWater, this)
    this.#reading.pauseWhileFull()
  }

  /** The messages of one frame; none if one of them is wrong, which is answered. */
  #read(frame: string | Uint8Array): Incoming[] {
    try {
      const decoded = decodeFrame(frame, this.#guest.codec, this.deps)
      const [first, ...others] = decoded.messages
      if (this.#guest.extensions.renewal && others.length === 0 && saysWho(first)) {
        void this.#renew(first) // never rejects: what fails is told
        return []
      }
      return parseMessages(decoded, this.#guest.extensions, this.deps)
    } catch (thrown) {
      this.#refuse(toRefusal(thrown, this.deps.counters))
      return []
    }
  }

  /** Answers what cannot be told apart from other requests, for want of an id. It is the peer's fault: no report. */
  #refuse(error: TRPCError): void {
    this.#writer.error({ id: null }, this.deps.desk.present(error, this.nowhere()))
  }

  #handle(incoming: Incoming, batchIndex: number, context: Context | Promise<Context>): void {
    if ('granted' in incoming) {
      const { id, events } = incoming.granted
      const taken = this.#subscriptions.grant(id, events)
      // There are never more of these than events, which we have sent: a small window over a fast line takes many.
      if (taken > 0) this.#rate.giveBack(1)
      return
    }
    const { message, again, lag, credit, idempotencyKey } = incoming
    const { id, jsonrpc } = message
    const envelope = jsonrpc === undefined ? { id } : { id, jsonrpc }
    if (id === null) {
      const error = new TRPCError({ code: 'PARSE_ERROR', message: '`id` is required' })
      this.#writer.error(envelope, this.deps.desk.handle(error, this.nowhere()))
      return
    }
    if (message.method === 'subscription.stop') return this.#subscriptions.stop(id)
    const credits = credit && new Credits(credit)
    const answers = new Answers(this.#writer, envelope, message.params.path, credits)
    if (message.method === 'subscription') {
      const task = new Task(message, { batchIndex, again, lag }, context, this)
      try {
        this.#subscriptions.start(id, task, answers)
        this.deps.idleWatch.leave(this)
      } catch (thrown) {
        answers.error(this.deps.desk.handle(thrown, task.origin()))
      }
    } else {
      const circumstances = { batchIndex, again, lag, idempotencyKey }
      void this.#answer(new Task(message, circumstances, context, this), answers)
    }
  }

  async #answer(task: Task, answers: Answers): Promise<void> {
    this.#calls += 1
    await answerCall(task, answers, this.deps) // never rejects
    this.#calls -= 1
    this.#pauseWhileFull()
    this.#settled()
  }

  /** A subscription or a call has ended. */
  #settled(): void {
    if (!this.#isGone) this.deps.idleWatch.active(this)
    this.deps.connections.checkCalm()
  }
}
