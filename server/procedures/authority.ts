/**
 * Whether a subscription may go on. The application is asked when it starts, at intervals, when its connection has
 * said anew who it is, and whenever the application itself has reason to ask: a user was removed from a room.
 */
import { TRPCError } from '@trpc/server'
import type { Clock, Timer } from '../../shared/clock.ts'
import { isSluiceError, SluiceError } from '../../shared/errors.ts'
import { settlesWithin } from '../grace.ts'
import type { Origin } from './present-error.ts'

/** A running subscription, as the application sees it. */
export interface RunningSubscription<Context = unknown> {
  readonly path: string
  /**
   * As the client sent it, through the transformer alone: the procedure's schema has neither checked it nor changed it, nor
   * put its defaults in.
   */
  readonly input: unknown
  readonly ctx: Context
}

/** What the authority may do with one. */
export interface Ward {
  readonly path: string
  origin(): Origin
  /** Ends it with an error that its client is told. */
  expel(error: unknown): void
}

export interface AuthorityOptions {
  readonly authorize: (subscription: RunningSubscription) => unknown
  /** Between two reviews, in milliseconds; Infinity: only on demand. */
  readonly everyMs: number
  readonly clock: Clock
  readonly report: (error: unknown, origin: Origin) => void
}

/** Reviews at the same time: an application looks each one up somewhere. */
const reviewsAtOnce = 100

/** How long a review waits for the application's answer about one, in milliseconds: it is heeded later, too. */
const patienceMs = 30_000

export class Authority implements Disposable {
  readonly #options: AuthorityOptions
  readonly #wards = new Set<Ward>()
  #timer: Timer | null = null

  constructor(options: AuthorityOptions) {
    this.#options = options
  }

  /** @throws SluiceError `ACCESS_REVOKED`, or whatever the application throws. */
  async admit(subscription: RunningSubscription): Promise<void> {
    // Nothing else will do: an answer that is not there, such as `user?.isAdmin`, is no permission.
    if ((await this.#options.authorize(subscription)) === true) return
    const { path } = subscription
    throw new SluiceError('ACCESS_REVOKED', `You may not have "${path}", or not any more.`, {
      data: { path },
    })
  }

  /** Keeps an eye on one that has started, until it is released. */
  watch(ward: Ward): void {
    this.#wards.add(ward)
    this.#schedule()
  }

  release(ward: Ward): void {
    this.#wards.delete(ward)
    if (this.#wards.size === 0) this[Symbol.dispose]()
  }

  /** Asks about those that `concerns` names; settles when those that may not go on have been told. */
  async review(concerns: (subscription: RunningSubscription) => boolean): Promise<void> {
    const wards = Array.from(this.#wards).filter(ward => {
      const subscription = view(ward)
      // One that has no context yet is asked about as soon as it has: it is nobody's until then.
      return subscription.ctx !== undefined && concerns(subscription)
    })
    for (let from = 0; from < wards.length; from += reviewsAtOnce) {
      await Promise.all(wards.slice(from, from + reviewsAtOnce).map(ward => this.#review(ward)))
    }
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  async #review(ward: Ward): Promise<void> {
    const { clock, report } = this.#options
    if (await settlesWithin(this.#ask(ward), patienceMs, clock)) return
    // Or one look-up that hangs would be the end of all reviews.
    report(
      new Error(`authorize() has not answered within ${patienceMs} ms about "${ward.path}".`),
      ward.origin(),
    )
  }

  /** Never rejects. */
  async #ask(ward: Ward): Promise<void> {
    try {
      await this.admit(view(ward))
    } catch (thrown) {
      if (!this.#wards.has(ward)) return // it has come to its end meanwhile
      // A verdict is a typed error. Anything else is a failure to reach one, and must not end a thousand streams.
      if (thrown instanceof TRPCError || isSluiceError(thrown)) ward.expel(thrown)
      else this.#options.report(thrown, ward.origin())
    }
  }

  #schedule(): void {
    const { clock, everyMs } = this.#options
    if (this.#timer || everyMs === Infinity) return
    const timer = clock.after(everyMs, () => {
      // Never rejects: each review deals with its own failures.
      void this.review(() => true).then(() => {
        if (this.#timer !== timer) return // all have left meanwhile
        this.#timer = null
        this.#schedule()
      })
    })
    this.#timer = timer
  }
}

function view(ward: Ward): RunningSubscription {
  const { input, ctx } = ward.origin()
  return { path: ward.path, input, ctx }
}
