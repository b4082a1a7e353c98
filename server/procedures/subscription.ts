/**
 * One running subscription: it calls the procedure, hands what comes back to `Replies`, and ends what it started.
 *
 *     setting up ──started──▶ running ──▶ returned                   (the source came to its end)
 *         │                      │  └───▶ error, stopped             (the source or an encoder failed)
 *         └───────stop()─────────┴──────▶ closing ──▶ stopped        (from outside, at any time)
 *
 * A source runs in one of two ways. Any iterable is pumped: one `next()` at a time. A topic's own stream is attached,
 * and pushes by itself; then no promise and no suspended function is held while nothing happens, nor what the set-up
 * needed, nor a signal that nobody hears of. Whatever happens first (an end, a failure, a stop) is how it ends:
 * `#finish`.
 *
 * Two things are subtle. First, `stop()` may come while the procedure is still awaiting its set-up: what arrives
 * afterwards is closed and never iterated. Secondly, `return()` on a generator that waits inside an `await` stands in
 * line behind that wait, perhaps for ever. So the procedure's signal is aborted first, then the iterator is asked to
 * return, and its answer is awaited no longer than the grace period; what overstays is counted and reported, and
 * its late answer is still taken care of.
 *
 * Nobody here listens to the abort: it is `stop()` that aborts.
 */
import { TRPCError } from '@trpc/server'
import { isObservable, observableToAsyncIterable } from '@trpc/server/observable'
import type { Clock } from '../../shared/clock.ts'
import { isSluiceError, SluiceError } from '../../shared/errors.ts'
import { isAsyncIterable } from '../../shared/iterate/async-iterable.ts'
import { fromReadableStream } from '../../shared/iterate/web-streams.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import { Ending } from '../ending.ts'
import type { CallObservers, Observation } from '../observe/calls.ts'
import { countRunning, type Counters } from '../observe/counters.ts'
import { positionOf } from '../topics/position.ts'
import { feedOf, type Feed, type Feeding } from '../topics/sink.ts'
import { roomUnder } from '../topics/stall.ts'
import { countUnder } from '../topics/tally.ts'
import type { Encodings } from './encodings.ts'
import type { Ward } from './authority.ts'
import type { SubscriptionCallDeps } from './call-subscription.ts'
import type { Grace } from '../grace.ts'
import { reportLag } from './lag-report.ts'
import { abort, letGo, type Held, type Holder } from './letting-go.ts'
import { isAbortError, type Origin } from './present-error.ts'
import type { Replies } from './replies.ts'
import { TopicSink, type SinkOwner } from './topic-sink.ts'

/** What a subscription is to do. */
export interface SubscriptionTask {
  readonly path: string
  /** Calls the procedure; settles with what its resolver returned. Called once, and never throws. */
  invoke(signal: AbortSignal): Promise<unknown>
  /** Where errors come from, as far as it is known by then. */
  origin(): Origin
  /** Whether the client asked for the cursor at which the subscription begins. */
  readonly tellPosition: boolean
  /** Whether the client asked to be told how far behind it is. */
  readonly tellLag: boolean
  /** Whether an `AbortError` of the procedure's own ends the stream without a word, as in tRPC's SSE. */
  readonly abortErrorEnds: boolean
}

export interface SubscriptionDeps extends SubscriptionCallDeps {
  readonly clock: Clock
  readonly counters: Counters
  readonly observers: CallObservers
  readonly encodings: Encodings
  /** How long a generator may take to end after it was told to. */
  readonly grace: Grace
}

/** Whose subscription it is. */
export interface SubscriptionOwner {
  /** It was told to end: nothing of it is to be said any more but its last words, if these can still be heard. */
  stopping?(): void
  /** It has ended, clean-up included, or overstayed. Called once. */
  ended(subscription: Subscription): void
}

type Outcome =
  | { readonly at: 'returned' }
  | { readonly at: 'stopped' }
  | { readonly at: 'failed'; readonly thrown: unknown; readonly of: 'set-up' | 'source' | 'encoding' }

type Source = AsyncIterator<unknown, unknown, undefined>

/** How a source runs that is a topic's, and where it begins, if that is known and the client wants to know. */
interface Opened {
  readonly source: Source
  readonly feed: Feed | null
  readonly position: string | null
}

export class Subscription implements Holder, Ward, SinkOwner {
  readonly #task: SubscriptionTask
  readonly #replies: Replies
  readonly #deps: SubscriptionDeps
  readonly #observation: Observation
  readonly #owner: SubscriptionOwner
  /** Of the procedure's signal, which is aborted when it is told to end, or has failed. */
  #controller: Held = new AbortController()
  #stopped = false
  /** Until the procedure has returned, or failed. */
  #settingUp: Promise<void> | null = null
  /** What it has returned. */
  #source: Source = nothing
  #at: 'setting up' | 'running' | 'ending' | 'ended' = 'setting up'
  /** Whether it is among the running ones of its path. */
  #runs = false
  /** Who pushes to it, if it is pushed to. */
  #feeding: Feeding | null = null
  #lagReport: Disposable | null = null
  /** What it ended with. */
  #failure: unknown = null
  /** There once somebody waits for its end. */
  #ending: Ending | null = null

  /** @param id by which its owner knows it. */
  constructor(
    readonly id: RequestId | null,
    task: SubscriptionTask,
    replies: Replies,
    deps: SubscriptionDeps,
    owner: SubscriptionOwner,
  ) {
    this.#task = task
    this.#replies = replies
    this.#deps = deps
    this.#owner = owner
    this.#observation = deps.observers.begin(task.origin())
    deps.authority?.watch(this)
    deps.counters.subscriptions += 1
    this.#settingUp = this.#observation.run(() => this.#start())
  }

  /** Settles when it has ended, clean-up included, or overstayed; never rejects. */
  get ended(): Promise<void> {
    if (this.#at === 'ended') return Promise.resolve()
    return (this.#ending ??= new Ending()).wait()
  }

  get stopped(): boolean {
    return this.#stopped
  }

  get signal(): AbortSignal | undefined {
    return this.#controller instanceof AbortController ? this.#controller.signal : undefined
  }

  get path(): string {
    return this.#task.path
  }

  origin(): Origin {
    return this.#task.origin()
  }

  /** Ends it with an error, of which the client is told first: over HTTP the response ends with the stop. */
  expel(error: unknown): void {
    if (this.#stopped) return
    this.#failure = error
    this.#replies.error(this.#deps.desk.handle(error, this.origin()))
    this.stop()
  }

  /** Ends it; any number of calls, at any time. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    abort(this.#controller, aborted)
    this.#owner.stopping?.()
    this.#finish({ at: 'stopped' })
  }

  /** Its consumer has taken so many events. Returns how many had been sent. */
  grant(events: number): number {
    return this.#replies.grant?.(events) ?? 0
  }

  sinkFailed(): void {
    void this.#return()
  }

  fed(failure: { readonly thrown: unknown; readonly of: 'source' | 'encoding' } | null): void {
    if (this.#stopped) return // whose end is not the source's
    this.#finish(failure ? { at: 'failed', ...failure } : { at: 'returned' })
  }

  /** Whom to ask how far behind it is; null where nobody knows. */
  get feeding(): Feeding | null {
    return this.#feeding
  }

  fedBy(feeding: Feeding): void {
    this.#feeding = feeding
    if (!this.#task.tellLag) return
    const { clock, desk } = this.#deps
    this.#lagReport = reportLag(feeding, clock, latest =>
      this.#replies
        .lag(() => (this.#stopped ? null : latest()))
        .catch((thrown: unknown) => void desk.report(thrown, this.#task.origin())),
    )
  }

  /** Calls the procedure, and has what it returns run. Never rejects. */
  async #start(): Promise<void> {
    const { signal } = this.#controller as AbortController // let go of at the end of this, at the earliest
    let of: 'set-up' | 'encoding' = 'set-up'
    try {
      const { source, feed, position } = await this.#open(await this.#task.invoke(signal), signal)
      this.#settingUp = null
      this.#source = source
      if (this.#stopped) return
      this.#at = 'running'
      this.#runs = true
      countRunning(this.#deps.counters, this.path, 1)
      of = 'encoding'
      this.#replies.started(position)
      if (feed) this.#attach(feed)
      else void this.#pump(source) // not awaited: this function would be held as long
    } catch (thrown) {
      this.#settingUp = null
      this.#fail(thrown, of)
    }
  }

  /** From what the procedure has returned to an iterator that has not been asked for anything. */
  #open(result: unknown, signal: AbortSignal): Opened | Promise<Opened> {
    if (isObservable(result)) {
      // Converting subscribes at once, which must not happen for somebody who has left.
      const source = this.#stopped
        ? nothing
        : observableToAsyncIterable(result, signal)[Symbol.asyncIterator]()
      return { source, feed: null, position: null }
    }
    const iterable = result instanceof ReadableStream ? fromReadableStream(result) : result
    if (!isAsyncIterable(iterable)) {
      throw new TRPCError({
        code: 'INTERNAL_SERVER_ERROR',
        message: `Subscription ${this.#task.path} did not return an observable or a AsyncGenerator`,
      })
    }
    const begins = this.#task.tellPosition && !this.#stopped ? positionOf(iterable) : null
    const source = iterable[Symbol.asyncIterator]()
    const feed = feedOf(iterable)
    return begins ? openAt(begins, source, feed) : { source, feed, position: null }
  }

  #attach(feed: Feed): void {
    feed(new TopicSink(this, this.#replies, this.#deps.counters))
    if (this.#controller instanceof AbortController) {
      this.#controller = letGo(this.#controller, this)
    }
  }

  hold(controller: AbortController): void {
    this.#controller = controller
  }

  /** Until the source or the client has had enough. Never rejects. */
  async #pump(source: Source): Promise<void> {
    const { signal } = this // which it keeps: it is let go of only where a topic pushes
    if (signal) countUnder(signal, this.#deps.counters.tally)
    let of: 'source' | 'encoding' = 'source'
    try {
      for (;;) {
        of = 'source'
        // Once, and not until there is room: who has waited has its turn, or a flood of large events would always
        // be first again.
        const { room } = this.#replies
        if (room) await (signal ? roomUnder(signal, room, this.#replies.outgoing, this.#deps.clock) : room)
        if (this.#stopped) return
        const result = await source.next()
        if (this.#stopped) return
        if (result.done) return this.#finish({ at: 'returned' })
        of = 'encoding'
        this.#replies.next(result.value)
        this.#deps.counters.eventsOut += 1
      }
    } catch (thrown) {
      this.#fail(thrown, of)
    }
  }

  #fail(thrown: unknown, of: 'set-up' | 'source' | 'encoding'): void {
    if (!this.#stopped) this.#finish({ at: 'failed', thrown, of })
    // Nobody waits for it any more, but a clean-up that fails must not go unheard.
    else this.#reportUnlessAbort(thrown)
  }

  /** The first one counts. */
  #finish(outcome: Outcome): void {
    if (this.#at === 'ending' || this.#at === 'ended') return
    this.#at = 'ending'
    this.#feeding = null
    this.#lagReport?.[Symbol.dispose]()
    void this.#observation.run(() => this.#end(outcome))
  }

  /** Never rejects. */
  async #end(outcome: Outcome): Promise<void> {
    const { counters, desk } = this.#deps
    try {
      const closes = outcome.at === 'stopped' || this.#say(outcome)
      if (closes) await this.#close()
      if (outcome.at === 'stopped') this.#replies.stopped()
    } catch (failure) {
      // The last word itself could not be said, by an encoder that takes not even that.
      this.#failure = failure
      desk.report(failure, this.#task.origin())
      await this.#close()
    }
    this.#at = 'ended'
    this.#deps.authority?.release(this)
    counters.subscriptions -= 1
    if (this.#runs) countRunning(counters, this.path, -1)
    this.#observation.end(this.#failure)
    this.#ending?.reach()
    this.#owner.ended(this)
  }

  /** The last words of one that ends by itself. Returns whether its source is to be closed after them. */
  #say(outcome: Exclude<Outcome, { at: 'stopped' }>): boolean {
    if (outcome.at === 'returned') {
      this.#replies.returned()
      return false
    }
    const { thrown, of } = outcome
    this.#failure = thrown
    if (isSluiceError(thrown)) this.#count(thrown)
    const quiet = this.#task.abortErrorEnds && of === 'source' && isAbortError(thrown)
    if (!quiet) this.#replies.error(this.#deps.desk.handle(thrown, this.#task.origin()))
    // As tRPC has it: an error of the source is followed by `stopped`, one of the set-up or the encoder is not.
    if (of === 'source') this.#replies.stopped()
    return of !== 'set-up'
  }

  /** What a topic says by an error, whether it pushes or an application's generator has passed it on. */
  #count({ code }: SluiceError): void {
    const { counters } = this.#deps
    if (code === 'GAP') counters.tally.resumes.missed += 1
    if (code === 'STALLED') counters.disconnected += 1
  }

  /** Signal first, then return(), then patience up to the grace period. */
  async #close(): Promise<void> {
    const { counters, desk, grace } = this.#deps
    this.stop()
    if (await grace.settles(this.#return())) return
    counters.overstayed += 1
    const { path } = this.#task
    const help = 'Wrap what it waits for in withSignal(source, signal), so that its finally can run.'
    desk.report(
      new SluiceError('OVERSTAYED', `"${path}" did not end within ${grace.ms} ms of being told to. ${help}`, {
        data: { path, graceMs: grace.ms },
      }),
      this.#task.origin(),
    )
  }

  /** Never rejects. */
  async #return(): Promise<void> {
    try {
      if (this.#settingUp) await this.#settingUp
      await this.#source.return?.()
    } catch (thrown) {
      this.#reportUnlessAbort(thrown)
    }
  }

  #reportUnlessAbort(thrown: unknown): void {
    // A procedure that gives up because it was told to is not a failure: every closed tab would log a stack.
    if (!isAbortError(thrown)) this.#deps.desk.report(thrown, this.#task.origin())
  }
}

/** As abort() makes it, but for the stack, which took 10 µs of the 200 that a short subscription costs (Node 20). */
const aborted = Object.freeze(new DOMException('This operation was aborted', 'AbortError'))

/** Where a source begins is known a little later. Rejects after the source was closed, if that cannot be said. */
async function openAt(begins: Promise<string>, source: Source, feed: Feed | null): Promise<Opened> {
  try {
    return { source, feed, position: await begins }
  } catch (thrown) {
    await source.return?.()
    throw thrown
  }
}

const nothing: Source = {
  next: () => Promise.resolve({ done: true, value: undefined }),
}
