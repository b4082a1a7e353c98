/** The answers of one subscription as server-sent events, byte for byte as tRPC writes them. */
import { isTrackedEnvelope } from '@trpc/server'
import type { AnyTRPCRouter } from '@trpc/server'
import type { TRPCErrorShape } from '@trpc/server/rpc'
import type { Clock, Timer } from '../../shared/clock.ts'
import type { Lag } from '../../shared/items.ts'
import type { Extensions } from '../../shared/protocol/negotiate.ts'
import { formatSseControl, sseEvent } from '../../shared/protocol/sse.ts'
import { unpresentable } from '../procedures/present-error.ts'
import type { Encodings } from '../procedures/encodings.ts'
import type { Batch, Replies } from '../procedures/replies.ts'
import type { Outlet } from '../session/outlet.ts'
import { pingInterval, Pulse, type SseConfig } from './pulse.ts'

/** What it needs of its server. */
export interface EventStreamDeps {
  readonly desk: { readonly router: AnyTRPCRouter }
  readonly encodings: Encodings
  readonly clock: Clock
}

/** Whose response it is. */
export interface EventStreamOwner {
  /** Sends the head. @throws when there can be no stream; `fail` is called then, and nothing else. */
  open(): Outlet
  /** Answers with an error in place of a stream. */
  fail(shape: TRPCErrorShape): void
  /** Asks for the end of the subscription. */
  dismiss(): void
}

/** tRPC's grace for what follows the first value under `emitAndEndImmediately`, in milliseconds. */
const emitGraceMs = 1

export class EventStream implements Replies, Disposable {
  /** The reader counts by reading. */
  readonly capacity = Infinity

  readonly #deps: EventStreamDeps
  readonly #extensions: Extensions
  readonly #owner: EventStreamOwner
  readonly #config: SseConfig
  /** Null until the head is sent. */
  #outlet: Outlet | null = null
  /** True when the head could not be made. */
  #failed = false
  #pulse: Pulse | null = null
  #emitTimer: Timer | null = null

  constructor(deps: EventStreamDeps, extensions: Extensions, owner: EventStreamOwner) {
    this.#deps = deps
    this.#extensions = extensions
    this.#owner = owner
    this.#config = deps.desk.router._def._config.sse ?? noConfig
  }

  started(position: string | null): void {
    let pingMs: number
    try {
      pingMs = pingInterval(this.#config, this.#extensions)
      this.#outlet = this.#owner.open()
    } catch (thrown) {
      this.#failed = true
      throw thrown
    }
    const hello = { ...this.#config.client, ...this.#extended(position, pingMs) }
    this.#send(formatSseControl(sseEvent.connected, JSON.stringify(hello)))
    if (pingMs !== Infinity) this.#pulse = this.#startPulse(pingMs)
  }

  next(value: unknown): void {
    if (isTrackedEnvelope(value)) this.#send(this.#deps.encodings.toEvent(value))
    else this.#send(this.#deps.encodings.toUntrackedEvent(value))
    // Values that come at once are let through; then the client comes back for more.
    if (this.#config.emitAndEndImmediately) {
      this.#emitTimer ??= this.#deps.clock.after(emitGraceMs, () => this.#owner.dismiss())
    }
  }

  push(batch: Batch<unknown>): void {
    if (this.#config.emitAndEndImmediately) {
      for (const envelope of batch.envelopes) this.next(envelope)
    } else if (this.#outlet) {
      this.#outlet.sendPacked(this.#deps.encodings.toEvents(batch, this.#outlet.packing))
      this.#pulse?.sent()
    }
  }

  async lag(latest: () => Lag | null): Promise<void> {
    await this.room
    const lag = latest()
    if (lag) this.#send(formatSseControl(sseEvent.lag, JSON.stringify(lag)))
  }

  error(shape: TRPCErrorShape): void {
    try {
      if (!this.#outlet && !this.#failed) this.started(null)
    } catch {
      // The head could not be made, either. The error at hand came first, and is what is told.
    }
    if (this.#failed) this.#owner.fail(shape)
    else this.#send(formatSseControl(sseEvent.error, this.#toJson(shape) ?? 'null'))
  }

  returned(): void {
    this.#send(formatSseControl(sseEvent.return, ''))
  }

  /** Says nothing: to a client whose response simply ends, it is a connection lost, and it comes back. */
  stopped(): void {}

  get room(): Promise<void> | null {
    return this.#outlet?.room ?? null
  }

  get outgoing(): Outlet | null {
    return this.#outlet
  }

  [Symbol.dispose](): void {
    this.#pulse?.[Symbol.dispose]()
    this.#emitTimer?.cancel()
  }

  /** What `connected` says beyond tRPC's own members; to a stock client that is nothing. */
  #extended(
    position: string | null,
    pingMs: number,
  ): { readonly position?: string; readonly pingMs?: number } {
    const tellPing = this.#extensions.heartbeats && pingMs !== Infinity
    return {
      ...(position === null ? {} : { position }),
      ...(tellPing ? { pingMs } : {}),
    }
  }

  #startPulse(everyMs: number): Pulse {
    const beat = () => {
      // A reader that does not take what is there would not take a ping either.
      if (!this.room) this.#send(formatSseControl(sseEvent.ping, ''))
    }
    return new Pulse({ clock: this.#deps.clock, everyMs, beat })
  }

  #send(text: string): void {
    this.#pulse?.sent()
    this.#outlet?.send(text)
  }

  #toJson(shape: TRPCErrorShape): string | undefined {
    const { output } = this.#deps.desk.router._def._config.transformer
    try {
      return JSON.stringify(output.serialize(shape))
    } catch {
      return JSON.stringify(output.serialize(unpresentable)) // one that can be said, in place of one that cannot
    }
  }
}

const noConfig: SseConfig = {}
