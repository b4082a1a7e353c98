/**
 * Many subscriptions in one streamed response: a POST lists them, and each event of the response is one of tRPC's
 * messages, as over a WebSocket. Nothing is kept of a response when it has ended: a client that wants other
 * subscriptions posts another list, with its cursors, to whichever server answers. Wire: docs/wire.md, section 6.
 */
import { TRPCError } from '@trpc/server'
import { parseConnectionParamsFromUnknown } from '@trpc/server/http'
import type { TRPCRequestInfo } from '@trpc/server/http'
import type { TRPCRequestMessage } from '@trpc/server/rpc'
import { z } from 'zod'
import type { Timer } from '../../shared/clock.ts'
import { SluiceError } from '../../shared/errors.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import { negotiate, type Extensions } from '../../shared/protocol/negotiate.ts'
import { formatSseControl, formatSseData, sseEvent } from '../../shared/protocol/sse.ts'
import { streamPath } from '../../shared/protocol/stream.ts'
import { countInvalid } from '../observe/counters.ts'
import { findProcedure } from '../procedures/call.ts'
import { toTRPCError, type Origin } from '../procedures/present-error.ts'
import { Answers, MessageWriter, type Correspondent } from '../session/answers.ts'
import type { Connection, Feeding, Place } from '../session/connections.ts'
import type { Expiry } from '../session/expiry.ts'
import { toRefusal } from '../session/frames.ts'
import { isIdTooLong, parseRequest } from '../session/incoming.ts'
import type { Limits } from '../session/limits.ts'
import { Outlet } from '../session/outlet.ts'
import { Subscriptions } from '../session/subscriptions.ts'
import { checkBatchLength, Task, type Caller, type Context } from '../session/task.ts'
import type { Frame, Packing } from '../session/wire.ts'
import { afterThisTurn } from '../turn.ts'
import { expiryByEnding, openEventStream, refuse, respondWithError } from './host.ts'
import type { HostListener, ResponseHost, ResponseWire, StreamingDeps } from './host.ts'
import { Polled } from './polled.ts'
import { pingInterval, Pulse, type SseConfig } from './pulse.ts'
import type { RequestHead } from './request.ts'

export interface StreamDeps extends StreamingDeps {
  readonly limits: Limits
}

/** Whether a request is one for a stream of many subscriptions. A stock peer does not ask for that. */
export function asksForStream({ method, path, url }: RequestHead): boolean {
  return method === 'POST' && path === streamPath && negotiate(url.searchParams).streams
}

/** What was posted; the messages are looked at one by one. */
const Body = z.object({
  subscriptions: z.array(z.unknown()),
  connectionParams: z.unknown().optional(),
  holdMs: z.number().nonnegative().optional(),
})

interface Posted {
  readonly messages: readonly (Asked | Malformed)[]
  readonly connectionParams: TRPCRequestInfo['connectionParams']
  readonly holdMs: number | undefined
}

type Asked = TRPCRequestMessage & { readonly id: RequestId; readonly again: boolean; readonly lag: boolean }

interface Malformed {
  readonly id: RequestId | null
  readonly refusal: TRPCError
}

export class StreamConnection implements Caller, Connection, Correspondent, HostListener {
  readonly carrier = 'stream'
  place: Place | null = null

  readonly #head: RequestHead
  readonly #host: ResponseHost
  readonly deps: StreamDeps
  readonly extensions: Extensions
  readonly #config: SseConfig
  readonly #subscriptions: Subscriptions
  ctx: unknown = undefined
  /** Null until the head is sent. */
  #response: { readonly wire: ResponseWire; readonly outlet: Outlet; readonly writer: MessageWriter } | null =
    null
  readonly #expiry: Expiry | null
  readonly #ended: Promise<void>
  #pulse: Pulse | null = null
  #limit: Timer | null = null
  /** Waits no longer for what may never come; null while nothing is waited for. */
  #giveUp: (() => void) | null = null
  /** The response has had its end, or will never have a beginning. */
  #over = false

  constructor(head: RequestHead, host: ResponseHost, deps: StreamDeps) {
    this.#head = head
    this.#host = host
    this.deps = deps
    const { router } = deps.desk
    this.#config = router._def._config.sse ?? {}
    this.#subscriptions = new Subscriptions(deps, deps.limits.maxSubscriptions)
    this.extensions = negotiate(head.url.searchParams)
    this.#expiry = expiryByEnding(deps, () => this.dismiss())
    this.#ended = this.#run()
  }

  get req(): unknown {
    return this.#host.req
  }

  get bufferedBytes(): number {
    return this.#response?.outlet.bufferedBytes ?? 0
  }

  get pending(): ResponseWire | null {
    return this.#response?.wire ?? null
  }

  feeding(): Iterable<Feeding> {
    return this.#subscriptions.feeding()
  }

  get busy(): boolean {
    return true // a response is its subscriptions
  }

  /** Ends the response, upon which the client comes back with its cursors. */
  dismiss(): void {
    this.#response?.writer.notify({ id: null, method: 'reconnect' })
    this.#end()
  }

  async close(): Promise<void> {
    this.#end()
    await this.#ended
  }

  gone(): void {
    this.#end()
  }

  async #run(): Promise<void> {
    this.#host.listen(this)
    try {
      await this.#serve()
    } catch (thrown) {
      this.#fail(thrown)
    }
    this.#end()
    await this.#subscriptions.close()
    this.deps.connections.remove(this)
  }

  /** From the body of the request to the end of all that it asked for. */
  async #serve(): Promise<void> {
    const posted = await this.#read()
    if (!posted || this.#over) return
    const prepared = await this.#unlessOver(this.#prepare(posted))
    if (!prepared || this.#over) return
    const { info, context } = prepared
    const writer = this.#open(info, context, posted)
    const polled = posted.holdMs !== undefined || this.#config.emitAndEndImmediately === true
    const running = posted.messages.map((message, index) => {
      const answers = new Answers(writer, { id: message.id })
      const resumed = 'params' in message && message.params.lastEventId !== undefined
      const replies = polled ? new Polled(answers, resumed, () => this.#endAfterThisTurn()) : answers
      if ('refusal' in message) return replies.error(this.deps.desk.present(message.refusal, this.nowhere()))
      const task = new Task(
        message,
        { batchIndex: index, again: message.again, lag: message.lag },
        context,
        this,
      )
      try {
        return this.#subscriptions.start(message.id, task, replies).ended
      } catch (thrown) {
        return replies.error(this.deps.desk.handle(thrown, task.origin()))
      }
    })
    await Promise.all(running)
  }

  /** The last words of this turn are still heard. */
  #endAfterThisTurn(): void {
    afterThisTurn(() => this.#end())
  }

  /** What was posted; null if it is refused, which is the stranger's doing: no report. */
  async #read(): Promise<Posted | null> {
    try {
      if (this.#host.refusal) throw this.#host.refusal
      if (this.#config.enabled === false) {
        throw new TRPCError({ code: 'METHOD_NOT_SUPPORTED', message: 'This server does not stream.' })
      }
      // A client that is gone sends no more, and whoever reads it waits for ever.
      const body = await this.#unlessOver(this.#host.readBody())
      if (body === null) return null
      const { connectionParams, subscriptions, holdMs } = Body.parse(JSON.parse(body))
      checkBatchLength(subscriptions.length, this.deps.limits.maxBatchLength, this.deps.counters)
      return {
        messages: subscriptions.map(message => this.#parse(message)),
        connectionParams: this.#parseParams(connectionParams),
        holdMs,
      }
    } catch (cause) {
      if (!this.#over) {
        this.#over = true
        refuse(this.#host, toRefusal(cause, this.deps.counters), this.deps)
      }
      return null
    }
  }

  /** Null once this has ended, whatever comes then. */
  #unlessOver<T>(promise: Promise<T>): Promise<T | null> {
    return new Promise((resolve, reject) => {
      this.#giveUp = () => resolve(null)
      if (this.#over) this.#giveUp()
      promise.then(resolve, reject)
    })
  }

  #parseParams(params: unknown): TRPCRequestInfo['connectionParams'] {
    return countInvalid(this.deps.counters, () => parseConnectionParamsFromUnknown(params ?? null))
  }

  #parse(message: unknown): Asked | Malformed {
    try {
      const {
        message: parsed,
        again,
        lag,
      } = parseRequest(message, this.deps.desk.router._def._config.transformer)
      const { id } = parsed
      if (parsed.method === 'subscription' && id !== null) return { ...parsed, id, again, lag }
      const refusal = new TRPCError({
        code: 'BAD_REQUEST',
        message: 'A stream is for subscriptions, with ids.',
      })
      return { id, refusal }
    } catch (cause) {
      const { id } = (message ?? {}) as { id?: unknown }
      const known = typeof id === 'number' || (typeof id === 'string' && !isIdTooLong(id))
      return { id: known ? id : null, refusal: toRefusal(cause, this.deps.counters) }
    }
  }

  async #prepare(posted: Posted): Promise<{ readonly info: TRPCRequestInfo; readonly context: Context }> {
    const info = await this.#toInfo(posted)
    return { info, context: await this.#createContext(info) }
  }

  async #createContext(info: TRPCRequestInfo): Promise<Context> {
    try {
      this.ctx = await this.#host.createContext(info)
      if (!this.#over) this.#expiry?.follow(this.ctx)
      return { ok: true }
    } catch (error) {
      return { ok: false, error } // told, and reported, as the answer to each subscription
    }
  }

  #open(info: TRPCRequestInfo, context: Context, { holdMs }: Posted): MessageWriter {
    const { clock, counters, desk, encodings, outletHighWater } = this.deps
    const pingMs = pingInterval(this.#config, this.extensions)
    const errors = context.ok ? [] : [toTRPCError(context.error)]
    const wire = openEventStream(this.#host, this.deps, { ctx: this.ctx, info, errors })
    const messages = {
      packing: asEvents(wire.packing),
      gathers: wire.gathers ?? false,
      write: (...written: Parameters<ResponseWire['write']>) => {
        this.#pulse?.sent()
        wire.write(...written)
      },
      get bufferedBytes() {
        return wire.bufferedBytes
      },
      get takenBytes() {
        return wire.takenBytes
      },
    }
    const outlet = new Outlet(messages, outletHighWater, counters)
    const writer = new MessageWriter(outlet, () => encodings.json, encodings, desk, this)
    this.#response = { wire, outlet, writer }

    const sendControl = (...control: Parameters<typeof formatSseControl>) =>
      outlet.sendPacked([wire.packing.pack(formatSseControl(...control))])
    const hello = { ...this.#config.client, ...(pingMs === Infinity ? {} : { pingMs }) }
    sendControl(sseEvent.connected, JSON.stringify(hello))
    if (pingMs !== Infinity) {
      // A reader that does not take what is there would not take a ping either.
      const beat = () => outlet.room ?? sendControl(sseEvent.ping, '')
      this.#pulse = new Pulse({ clock, everyMs: pingMs, beat })
    }
    const { maxDurationMs = Infinity } = this.#config
    const limitMs = Math.min(maxDurationMs, holdMs === undefined ? Infinity : Math.min(holdMs, pingMs))
    if (limitMs !== Infinity) this.#limit = clock.after(limitMs, () => this.#end())
    return writer
  }

  #fail(thrown: unknown): void {
    const shape = this.deps.desk.handle(thrown, this.nowhere())
    if (this.#response || this.#over) return
    this.#over = true
    respondWithError(this.#host, this.deps.desk, shape)
  }

  /**
   * Ends the response, and then the subscriptions: to be stopped by us is not the end of them, and the client is not
   * told so. The response does not wait for their clean-up.
   */
  #end(): void {
    this.#pulse?.[Symbol.dispose]()
    this.#limit?.cancel()
    this.#giveUp?.()
    this.#expiry?.[Symbol.dispose]()
    if (!this.#over) {
      this.#over = true
      if (!this.#response)
        refuse(this.#host, new SluiceError('DRAINING', 'This server is going away.'), this.deps)
      this.#response?.outlet.close()
      this.#response?.wire.end()
    }
    void this.#subscriptions.close()
  }

  async #toInfo({ messages, connectionParams }: Posted): Promise<TRPCRequestInfo> {
    const requests = messages.flatMap(message => ('params' in message ? [message.params] : []))
    const calls = requests.map(async ({ path, input }, batchIndex) => ({
      path,
      // A lazy router that cannot be loaded is met again, and told of, when the procedure is called.
      procedure: await findProcedure(this.deps.desk.router, path).catch(() => null),
      batchIndex,
      getRawInput: async () => input,
      result: () => input,
    }))
    return {
      isBatchCall: requests.length > 1,
      accept: null,
      calls: await Promise.all(calls),
      type: 'subscription',
      connectionParams,
      signal: this.#host.gone,
      url: this.#head.url,
    }
  }

  /** Where an error comes from that belongs to no subscription. */
  nowhere(): Origin {
    return { req: this.#host.req, type: 'subscription', path: undefined, input: undefined, ctx: this.ctx }
  }
}

/** Messages as events, in whatever framing the response has. One for each framing, so that encodings are shared. */
function asEvents(framing: Packing): Packing {
  let packing = packings.get(framing)
  if (!packing) {
    const toEvent = (message: Frame) => formatSseData(String(message))
    packing = {
      pack: message => framing.pack(toEvent(message)),
      packAll: messages => framing.packAll(messages.map(toEvent)),
    }
    packings.set(framing, packing)
  }
  return packing
}

const packings = new WeakMap<Packing, Packing>()
