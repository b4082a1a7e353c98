/**
 * What a guest is known by: the context that the application makes of what the guest says when it connects, and makes anew
 * each time the guest says so again. What was said last counts, however long it takes to make something of it, and
 * holds until it runs out.
 */
import type { TRPCError } from '@trpc/server'
import type { TRPCRequestInfo } from '@trpc/server/http'
import type { Clock } from '../../shared/clock.ts'
import { isSluiceError } from '../../shared/errors.ts'
import { Expiry, type ExpiryOptions } from './expiry.ts'
import { toInfo, type Guest } from './guest.ts'
import type { Context } from './task.ts'

/** Whose guest it is. */
export interface Host {
  /** Aborted when the guest is gone. */
  readonly gone: AbortSignal
  /** What it is known by is about to run out. */
  askToRenew(): void
  /** Nothing is to be made of what it has said: that is told, and reported. */
  tellOfNone(thrown: unknown): TRPCError
  /** It is to leave: it is known by nothing, or by nothing any more. */
  turnOut(expired: boolean): void
}

export class Identity implements Disposable {
  readonly #guest: Guest
  readonly #host: Host
  readonly #expiry: Expiry | null
  #context: Context | Promise<Context> | null = null
  #ctx: unknown = undefined
  /** How often the guest has said who it is, and which of these times `ctx` is of. */
  #said = 0
  #heeded = 0

  /** @param expiry null where contexts hold for as long as their connections. */
  constructor(guest: Guest, host: Host, expiry: ExpiryOptions | null, clock: Clock) {
    this.#guest = guest
    this.#host = host
    this.#expiry =
      expiry &&
      new Expiry(expiry, clock, { renew: () => host.askToRenew(), expired: () => host.turnOut(true) })
  }

  /** Being made, or made; null until the guest has said who it is. */
  get context(): Context | Promise<Context> | null {
    return this.#context
  }

  /** The application's own context of this moment, as far as there is one. */
  get ctx(): unknown {
    return this.#ctx
  }

  /** The guest has said who it is, or need not. */
  greet(readParams: () => TRPCRequestInfo['connectionParams']): void {
    const context = this.#create(readParams)
    this.#context = context
    if (context instanceof Promise) void context.then(made => (this.#context = made)) // never rejects
  }

  /** The guest says anew who it is. If nothing can be made of it, what it said before holds until it runs out. */
  async renew(params: TRPCRequestInfo['connectionParams']): Promise<void> {
    await this.#make(params)
  }

  [Symbol.dispose](): void {
    this.#expiry?.[Symbol.dispose]()
  }

  #create(readParams: () => TRPCRequestInfo['connectionParams']): Context | Promise<Context> {
    const refuse = (thrown: unknown) => this.#refuse(thrown)
    try {
      return this.#make(readParams())?.then(() => madeContext, refuse) ?? madeContext
    } catch (thrown) {
      return refuse(thrown)
    }
  }

  /** Nothing is to be made of its first word. */
  #refuse(thrown: unknown): Context {
    const error = this.#host.tellOfNone(thrown)
    if (this.#heeded > 0) return madeContext // of a later one
    const expired = isSluiceError(thrown) && thrown.code === 'CONTEXT_EXPIRED'
    // Not at once: requests that have arrived with it get their answer.
    setImmediate(() => this.#host.turnOut(expired))
    return { ok: false, error }
  }

  /** Null if it is made at once, as most are. */
  #make(connectionParams: TRPCRequestInfo['connectionParams']): Promise<void> | null {
    const said = (this.#said += 1)
    const ctx = this.#guest.createContext(() => toInfo(connectionParams, () => this.#host.gone))
    if (isThenable(ctx)) return Promise.resolve(ctx).then(made => this.#heed(said, made))
    this.#heed(said, ctx)
    return null
  }

  /** A context that is made only after a later one is let go of. */
  #heed(said: number, ctx: unknown): void {
    if (said < this.#heeded) return
    this.#expiry?.follow(ctx)
    this.#heeded = said
    this.#ctx = ctx
  }
}

const madeContext: Context = { ok: true }

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
