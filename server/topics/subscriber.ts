/**
 * One subscriber of one log. It delivers in one of two ways, with the same items in the same order: asked item by
 * item, as an async iterator; or pushing to a sink, batch by batch.
 *
 *     asked:   starting --> reading <--> waiting (for the hub to move)  --> ended
 *     pushing: starting --> behind  <--> live    (in the hub's loop)    --> ended
 *                              (return, abort, error or the last item end it from anywhere)
 *
 * One that is live holds no promise, closure or suspended function: most subscribers wait most of the time.
 */
import type { Clock } from '../../shared/clock.ts'
import type { Cursor } from '../../shared/protocol/cursor.ts'
import type { Batch } from './batch.ts'
import type { LiveSubscriber } from './hub.ts'
import { Reader } from './reader.ts'
import type { Delivered, ReaderOptions, ReadLog } from './reader.ts'
import type { Feeding, Sink } from './sink.ts'
import { limitStall, roomFor, unlimitStall } from './stall.ts'
import { tallyUnder, type Tally } from './tally.ts'

/** The log of a subscriber: what is the same for all of them. */
export interface SubscribedLog<Item> extends ReadLog<Item> {
  readonly clock: Clock
  /** Called once by each subscriber, however it ends. */
  release(): void
}

export interface SubscriberOptions<Item> extends ReaderOptions<Item> {
  readonly signal: AbortSignal | undefined
}

const done = { done: true, value: undefined } as const
const settled = Promise.resolve()

export class Subscriber<Item> implements Feeding, LiveSubscriber<Item> {
  readonly #log: SubscribedLog<Item>
  readonly #reader: Reader<Item>
  #started: Promise<void>
  /** Whether it comes back with a cursor. */
  readonly #resumes: boolean
  #signal: AbortSignal | undefined
  #onAbort: (() => void) | null = null
  #released = false

  /** Who is pushed to, if anybody is. */
  #sink: Sink<unknown> | null = null
  /** Whether it is in the hub's loop. */
  #live = false

  // Calls of next() that overlap are answered in order: how many there are, and the latest one.
  #overlapping = 0
  #latest: Promise<unknown> = settled

  constructor(log: SubscribedLog<Item>, options: SubscriberOptions<Item>) {
    const { signal } = options
    this.#log = log
    this.#reader = new Reader(log, options)
    this.#signal = signal
    this.#resumes = options.after !== undefined
    if (signal?.aborted) this.#end()
    else if (signal) this.#listenTo(signal)
    // Started at once, and not by the first next(): what is published from now on belongs to the subscriber.
    this.#started = this.#reader.ended ? settled : this.#reader.start(options)
    // Heard by the first next(), or by nobody if there is none.
    this.#started.catch(() => {})
  }

  /** The cursor at which the subscriber begins, if a client may resume from there; rejects as the first `next()`. */
  position(): Promise<Cursor> | null {
    // A client whose first item is a state has yet to get it, and one that comes back has its cursor.
    return this.#resumes || this.#log.folding ? null : this.#position()
  }

  get live(): boolean {
    return this.#live
  }

  get lag(): number {
    return this.#reader.lag
  }

  get lagMs(): number {
    return this.#reader.lagMs
  }

  next(): Promise<IteratorResult<Delivered<Item>, undefined>> {
    const take = () => this.#take()
    const taken = this.#overlapping++ === 0 ? take() : this.#latest.then(take, take)
    this.#latest = taken
    return taken
  }

  async return(): Promise<{ done: true; value: undefined }> {
    this.#end()
    return done
  }

  /** Pushes everything to a sink, until the subscriber has ended, or has failed as `next()` would. */
  feed(sink: Sink<unknown>): void {
    this.#sink = sink
    this.#reader.tally = sink.tally
    if (this.#signal && this.#signal === sink.signal) this.#deafen()
    sink.fedBy?.(this)
    void this.#catchUp(sink, true)
  }

  /** From the hub's loop. */
  take(batch: Batch<Item>): void {
    const sink = this.#sink
    if (!sink) return
    // It stays where it is, and reads as many as there is room for from the ring.
    if (batch.envelopes.length > (sink.capacity ?? Infinity)) return this.#fallBehind(sink)
    try {
      deliver(sink, this.#reader.accept(batch))
    } catch (thrown) {
      // Of its own filter, which is the application's: whoever else is in the loop has nothing to do with it.
      this.#leaveLoop()
      return this.#endFeed(sink, { thrown })
    }
    if (sink.room || this.#reader.ended) this.#fallBehind(sink)
  }

  /** From the hub's loop. */
  interrupted(): void {
    if (this.#sink) this.#fallBehind(this.#sink)
  }

  async #position(): Promise<Cursor> {
    await this.#started
    return this.#reader.cursor
  }

  /** Pushes what there is, until the subscriber is live or has ended. Never rejects. */
  async #catchUp(sink: Sink<unknown>, first = false): Promise<void> {
    const reader = this.#reader
    try {
      // Waits in any case: whoever has just left the hub's loop must not join again while it goes round.
      await (reader.ended ? settled : this.#started)
      this.#started = settled // lets go of what the start has held
      let resuming = first && this.#resumes
      while (!reader.ended) {
        // Once, and not until there is room: who has waited has its turn, or a flood would always be first again.
        if (sink.room) {
          await roomFor(reader, sink.room, sink.outgoing, this.#log.clock)
          await settled // whoever has waited for room for one event goes before a batch
        }
        if (reader.ended) break
        const batch = reader.takeBatch(sink.capacity)
        if (resuming) {
          resuming = false
          if (sink.tally) countResume(sink.tally, reader, batch !== null)
        }
        if (batch) deliver(sink, batch)
        else if (reader.atHead) return this.#goLive()
        else await reader.readOn()
      }
      this.#endFeed(sink, null)
    } catch (thrown) {
      this.#endFeed(sink, { thrown })
    }
  }

  /** Into the hub's loop, until the sink is full, the hub interrupts, or the subscriber ends. */
  #goLive(): void {
    this.#live = true
    this.#log.hub.join(this)
  }

  #fallBehind(sink: Sink<unknown>): void {
    if (!this.#live) return
    this.#leaveLoop()
    void this.#catchUp(sink)
  }

  #leaveLoop(): void {
    this.#live = false
    this.#log.hub.leave(this)
  }

  #endFeed(sink: Sink<unknown>, failure: { readonly thrown: unknown } | null): void {
    this.#end()
    sink.ended(failure)
  }

  async #take(): Promise<IteratorResult<Delivered<Item>, undefined>> {
    const reader = this.#reader
    try {
      if (!reader.ended) await this.#started
      // By the signal that the procedure of whoever asks was given; only who may drop something has to know.
      if (this.#signal && reader.whenSlow !== 'wait') reader.tally ??= tallyUnder(this.#signal)
      while (!reader.ended) {
        const item = reader.take()
        if (item) return { done: false, value: item }
        if (!reader.ended) await reader.readOn()
      }
      return done
    } catch (error) {
      this.#end()
      throw error
    } finally {
      // The last item of all has ended the reader.
      if (reader.ended) this.#end()
      this.#overlapping--
    }
  }

  #listenTo(signal: AbortSignal): void {
    signal.addEventListener('abort', (this.#onAbort = () => this.#end()))
    limitStall(signal, this.#reader)
  }

  #deafen(): void {
    if (this.#signal) unlimitStall(this.#signal, this.#reader)
    if (this.#onAbort) this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#onAbort = null
    this.#signal = undefined
  }

  #end(): void {
    if (this.#released) return
    this.#released = true
    this.#reader.end()
    if (this.#sink) this.#fallBehind(this.#sink)
    this.#deafen()
    this.#log.release()
  }
}

/** Where a subscriber that came back finds what it missed: what it takes first tells. */
function countResume(
  { resumes }: Tally,
  reader: { readonly metGap: boolean; readonly atHead: boolean },
  taken: boolean,
): void {
  if (reader.metGap) resumes.missed += 1
  else if (taken || reader.atHead) resumes.ring += 1
  else resumes.store += 1
}

function deliver(sink: Sink<unknown>, batch: Batch<unknown>): void {
  if (batch.envelopes.length > 0) sink.push(batch)
}
