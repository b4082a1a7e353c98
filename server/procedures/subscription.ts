/**
 * One running subscription: it calls the procedure, pumps what comes back into `Replies`, and ends what it started.
 *
 *     setting up ──started──▶ pumping ──▶ returned                   (the source came to its end)
 *         │                      │  └───▶ error, stopped             (the source or an encoder failed)
 *         └───────stop()─────────┴──────▶ closing ──▶ stopped        (from outside, at any time)
 *
 * Two things are subtle. First, `stop()` may come while the procedure is still awaiting its set-up: what arrives
 * afterwards is closed and never iterated. Secondly, `return()` on a generator that waits inside an `await` stands in
 * line behind that wait, perhaps for ever. So the procedure's signal is aborted first, then the iterator is asked to
 * return, and its answer is awaited no longer than the grace period; what overstays is counted and reported, and
 * its late answer is still taken care of.
 *
 * The abort is listened to once per stream. A race per event against a long-lived promise would keep memory for each
 * of them (312 bytes an event on Node 20).
 */
import { TRPCError } from '@trpc/server'
import { isObservable, observableToAsyncIterable } from '@trpc/server/observable'
import type { Clock } from '../../shared/clock.ts'
import { isSluiceError, SluiceError } from '../../shared/errors.ts'
import { fromReadableStream } from '../../shared/iterate/web-streams.ts'
import type { CallObservers, Observation } from '../observe/calls.ts'
import { countRunning, type Counters } from '../observe/counters.ts'
import { positionOf } from '../topics/position.ts'
import { feedOf, type Feed, type Feeding } from '../topics/sink.ts'
import type { Encodings } from './encodings.ts'
import type { Ward } from './authority.ts'
import type { SubscriptionCallDeps } from './call-subscription.ts'
import { settlesWithin } from './grace.ts'
import { reportLag } from './lag-report.ts'
import { isAbortError, type Origin } from './present-error.ts'
import type { Replies } from './replies.ts'
import { TopicSink } from './topic-sink.ts'

/** What a subscription is to do. */
export interface SubscriptionTask {
  readonly path: string
  /** Calls the procedure; settles with what its resolver returned. Called once. */
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
  /** How long a generator may take to end after it was told to, in milliseconds. */
  readonly graceMs: number
}

type Outcome =
  | { readonly at: 'returned' }
  | { readonly at: 'stopped' }
  | { readonly at: 'failed'; readonly thrown: unknown; readonly of: 'set-up' | 'source' | 'encoding' }

export class Subscription implements AsyncDisposable, Ward {
  /** Settles when it has ended, clean-up included, or overstayed; never rejects. */
  readonly ended: Promise<void>

  readonly #task: SubscriptionTask
  readonly #replies: Replies
  readonly #deps: SubscriptionDeps
  readonly #controller = new AbortController()
  /** Where it begins, if that is known and the client wants to know. */
  #position: string | null = null
  /** How the source pushes, if it is a topic's: then nobody iterates it. */
  #feed: Feed<unknown> | null = null
  /** What it ended with. */
  #failure: unknown = null
  /** Whether it is among the running ones of its path. */
  #runs = false

  constructor(task: SubscriptionTask, replies: Replies, deps: SubscriptionDeps) {
    this.#task = task
    this.#replies = replies
    this.#deps = deps
    const observation = deps.observers.begin(task.origin())
    this.ended = observation.run(() => this.#run(observation))
  }

  /** Aborted when it is told to end, or has failed. The procedure's own signal. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get path(): string {
    return this.#task.path
  }

  origin(): Origin {
    return this.#task.origin()
  }

  /** Ends it with an error, of which the client is told first: over HTTP the response ends with the stop. */
  expel(error: unknown): void {
    if (this.#controller.signal.aborted) return
    this.#failure = error
    this.#replies.error(this.#deps.desk.handle(error, this.origin()))
    this.stop()
  }

  /** Ends it; any number of calls, at any time. */
  stop(): void {
    // abort() makes an error with a stack even when it has nothing to do.
    if (!this.#controller.signal.aborted) this.#controller.abort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop()
    await this.ended
  }

  async #run(observation: Observation): Promise<void> {
    const { authority, counters, desk } = this.#deps
    const { signal } = this.#controller
    const release = authority?.watch(this)
    counters.subscriptions += 1
    const opening = this.#open(signal)
    try {
      const outcome = await new Promise<Outcome>(resolve => {
        if (signal.aborted) resolve({ at: 'stopped' })
        signal.addEventListener('abort', () => resolve({ at: 'stopped' }), { once: true })
        void this.#drive(opening).then(resolve)
      })
      await this.#end(outcome, opening)
    } catch (failure) {
      // The last word itself could not be said, by an encoder that takes not even that.
      this.#failure = failure
      desk.report(failure, this.#task.origin())
      await this.#close(opening)
    } finally {
      release?.()
      counters.subscriptions -= 1
      if (this.#runs) countRunning(counters, this.path, -1)
      observation.end(this.#failure)
    }
  }

  /** From the procedure's call to an iterator that has not been asked for anything. */
  async #open(signal: AbortSignal): Promise<AsyncIterator<unknown, unknown, undefined>> {
    const result = await this.#task.invoke(signal)
    if (isObservable(result)) {
      // Converting subscribes at once, which must not happen for somebody who has left.
      if (signal.aborted) return nothing
      return observableToAsyncIterable(result, signal)[Symbol.asyncIterator]()
    }
    const iterable = result instanceof ReadableStream ? fromReadableStream(result) : result
    if (!isAsyncIterable(iterable)) {
      throw new TRPCError({
        code: 'INTERNAL_SERVER_ERROR',
        message: `Subscription ${this.#task.path} did not return an observable or a AsyncGenerator`,
      })
    }
    const position = this.#task.tellPosition && !signal.aborted ? positionOf(iterable) : null
    const iterator = iterable[Symbol.asyncIterator]()
    this.#feed = feedOf(iterable)
    try {
      this.#position = await position
      return iterator
    } catch (thrown) {
      await iterator.return?.()
      throw thrown
    }
  }

  /** The straight path, until the source or the client has had enough. Never rejects. */
  async #drive(opening: Promise<AsyncIterator<unknown, unknown, undefined>>): Promise<Outcome> {
    const { signal } = this.#controller
    let of: 'set-up' | 'source' | 'encoding' = 'set-up'
    try {
      const iterator = await opening
      if (signal.aborted) return { at: 'stopped' }
      countRunning(this.#deps.counters, this.path, 1)
      this.#runs = true
      of = 'encoding'
      this.#replies.started(this.#position)
      if (this.#feed) return await this.#attach(this.#feed, iterator)
      for (;;) {
        of = 'source'
        // Once, and not until there is room: who has waited has its turn, or a flood of large events would always
        // be first again.
        const { room } = this.#replies
        if (room) await room
        if (signal.aborted) return { at: 'stopped' }
        const result = await iterator.next()
        if (signal.aborted) return { at: 'stopped' }
        if (result.done) return { at: 'returned' }
        of = 'encoding'
        this.#replies.next(result.value)
        this.#deps.counters.eventsOut += 1
      }
    } catch (thrown) {
      if (!signal.aborted) return { at: 'failed', thrown, of }
      // Nobody waits for it any more, but a clean-up that fails must not go unheard.
      this.#reportUnlessAbort(thrown)
      return { at: 'stopped' }
    }
  }

  /** The topic pushes into the replies, until it has ended or something fails. */
  async #attach(feed: Feed<unknown>, iterator: AsyncIterator<unknown, unknown, undefined>): Promise<Outcome> {
    const { signal } = this.#controller
    using sink = new TopicSink(this.#replies, this.#deps.counters, signal, {
      // return() ends the feed, and never rejects: it is a topic's.
      end: () => void iterator.return?.(),
      watch: this.#task.tellLag ? feeding => this.#reportLag(feeding) : null,
    })
    try {
      await feed(sink)
    } catch (thrown) {
      return { at: 'failed', thrown, of: 'source' }
    }
    if (sink.failure) return { at: 'failed', thrown: sink.failure.thrown, of: 'encoding' }
    return signal.aborted ? { at: 'stopped' } : { at: 'returned' }
  }

  #reportLag(feeding: Feeding): Disposable {
    const { clock, desk } = this.#deps
    return reportLag(feeding, clock, latest =>
      this.#replies
        .lag(() => (this.#controller.signal.aborted ? null : latest()))
        .catch((thrown: unknown) => void desk.report(thrown, this.#task.origin())),
    )
  }

  async #end(outcome: Outcome, opening: Promise<AsyncIterator<unknown, unknown, undefined>>): Promise<void> {
    switch (outcome.at) {
      case 'returned':
        this.#replies.returned()
        return
      case 'stopped':
        await this.#close(opening)
        this.#replies.stopped()
        return
      case 'failed': {
        const { thrown, of } = outcome
        this.#failure = thrown
        if (isSluiceError(thrown)) this.#count(thrown)
        const quiet = this.#task.abortErrorEnds && of === 'source' && isAbortError(thrown)
        if (!quiet) this.#replies.error(this.#deps.desk.handle(thrown, this.#task.origin()))
        // As tRPC has it: an error of the source is followed by `stopped`, one of the set-up or the encoder is not.
        if (of === 'source') this.#replies.stopped()
        if (of !== 'set-up') await this.#close(opening)
        return
      }
      default:
        outcome satisfies never
    }
  }

  /** What a topic says by an error, whether it pushes or an application's generator has passed it on. */
  #count({ code }: SluiceError): void {
    const { counters } = this.#deps
    if (code === 'GAP') counters.tally.resumes.missed += 1
    if (code === 'STALLED') counters.disconnected += 1
  }

  /** Signal first, then return(), then patience up to the grace period. */
  async #close(opening: Promise<AsyncIterator<unknown, unknown, undefined>>): Promise<void> {
    const { clock, counters, desk, graceMs } = this.#deps
    this.stop()
    const closed = opening.then(
      iterator => iterator.return?.(),
      () => {}, // #drive has dealt with a set-up that failed
    )
    closed.catch(thrown => this.#reportUnlessAbort(thrown))
    if (await settlesWithin(closed, graceMs, clock)) return
    counters.overstayed += 1
    const { path } = this.#task
    const help = 'Wrap what it waits for in withSignal(source, signal), so that its finally can run.'
    desk.report(
      new SluiceError('OVERSTAYED', `"${path}" did not end within ${graceMs} ms of being told to. ${help}`, {
        data: { path, graceMs },
      }),
      this.#task.origin(),
    )
  }

  #reportUnlessAbort(thrown: unknown): void {
    // A procedure that gives up because it was told to is not a failure: every closed tab would log a stack.
    if (!isAbortError(thrown)) this.#deps.desk.report(thrown, this.#task.origin())
  }
}

const nothing: AsyncIterator<unknown, unknown, undefined> = {
  next: () => Promise.resolve({ done: true, value: undefined }),
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown, unknown, undefined> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
