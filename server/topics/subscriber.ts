/**
 * One subscriber of one log. It delivers in one of two ways, with the same items in the same order: asked item by
 * item, as an async iterator; or pushing to a sink, batch by batch.
 *
 *     asked:   starting --> reading <--> waiting (for the hub to move)  --> ended
 *     pushing: starting --> behind  <--> live    (in the hub's loop)    --> ended
 *                              (return, abort, error or the last item end it from anywhere)
 */
import type { Clock } from '../../shared/clock.ts'
import type { Cursor } from '../../shared/protocol/cursor.ts'
import type { Batch } from './batch.ts'
import type { Hub, LiveSubscriber } from './hub.ts'
import { Reader } from './reader.ts'
import type { Delivered, ReaderOptions } from './reader.ts'
import type { Feeding, Sink, Tally } from './sink.ts'
import { roomWithin } from './when-slow.ts'

export interface SubscriberOptions<Item> extends ReaderOptions<Item> {
  readonly signal: AbortSignal | undefined
  readonly clock: Clock
  /** Called once, however the subscriber ends. */
  readonly onEnd: () => void
}

const done = { done: true, value: undefined } as const

export class Subscriber<Item> implements Feeding {
  readonly #options: SubscriberOptions<Item>
  readonly #reader: Reader<Item>
  readonly #started: Promise<void>
  #released = false
  /** Its place in the hub's loop, while it is live. */
  #liveness: Live<Item> | null = null

  // Calls of next() that overlap are answered in order: how many there are, and the latest one.
  #overlapping = 0
  #latest: Promise<unknown> = Promise.resolve()

  constructor(options: SubscriberOptions<Item>) {
    this.#options = options
    this.#reader = new Reader(options)
    options.signal?.addEventListener('abort', this.#onAbort)
    if (options.signal?.aborted) this.#end()
    // Started at once, and not by the first next(): what is published from now on belongs to the subscriber.
    this.#started = this.#reader.ended ? Promise.resolve() : this.#reader.start()
    // Heard by the first next(), or by nobody if there is none.
    this.#started.catch(() => {})
  }

  /** The cursor at which the subscriber begins; rejects as the first `next()` would. */
  async position(): Promise<Cursor> {
    await this.#started
    return this.#reader.cursor
  }

  get live(): boolean {
    return this.#liveness !== null
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

  /** Pushes everything to a sink; settles when the subscriber has ended, rejects as `next()` would. */
  async feed(sink: Sink<unknown>): Promise<void> {
    const reader = this.#reader
    const { tally } = sink
    let resuming = this.#options.after !== undefined
    reader.tally = tally
    tally?.feeding.add(this)
    sink.fedBy?.(this)
    try {
      if (!reader.ended) await this.#started
      while (!reader.ended) {
        // Once, and not until there is room: who has waited has its turn, or a flood would always be first again.
        if (sink.room) await this.#waitFor(sink.room)
        if (reader.ended) break
        const batch = reader.takeBatch(sink.capacity)
        if (resuming) {
          resuming = false
          if (tally) countResume(tally, reader, batch !== null)
        }
        if (batch) deliver(sink, batch)
        else if (reader.atHead) await this.#live(sink)
        else await reader.readOn()
      }
    } finally {
      tally?.feeding.delete(this)
      this.#end()
    }
  }

  #waitFor(room: Promise<void>): Promise<void> {
    const { whenSlow, clock } = this.#options
    const disconnects = whenSlow !== 'wait' && whenSlow.policy === 'disconnect'
    return disconnects ? roomWithin(room, whenSlow.afterMs, clock) : room
  }

  /** In the hub's loop, until the sink is full, the hub interrupts, or the subscriber ends. */
  #live(sink: Sink<unknown>): Promise<void> {
    return new Promise(resolve => {
      this.#liveness = new Live(sink, this.#reader, this.#options.hub, () => {
        this.#liveness = null
        resolve()
      })
    })
  }

  async #take(): Promise<IteratorResult<Delivered<Item>, undefined>> {
    const reader = this.#reader
    try {
      if (!reader.ended) await this.#started
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

  readonly #onAbort = (): void => this.#end()

  #end(): void {
    if (this.#released) return
    this.#released = true
    this.#reader.end()
    this.#liveness?.leave()
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#options.onEnd()
  }
}

/** A subscriber in the hub's loop. */
class Live<Item> implements LiveSubscriber<Item> {
  readonly #sink: Sink<unknown>
  readonly #reader: Reader<Item>
  readonly #hub: Hub<Item>
  readonly #left: () => void

  constructor(sink: Sink<unknown>, reader: Reader<Item>, hub: Hub<Item>, left: () => void) {
    this.#sink = sink
    this.#reader = reader
    this.#hub = hub
    this.#left = left
    hub.join(this)
  }

  take(batch: Batch<Item>): void {
    // It stays where it is, and reads as many as there is room for from the ring.
    if (batch.envelopes.length > (this.#sink.capacity ?? Infinity)) return this.leave()
    deliver(this.#sink, this.#reader.accept(batch))
    if (this.#sink.room || this.#reader.ended) this.leave()
  }

  interrupted(): void {
    this.leave()
  }

  leave(): void {
    this.#hub.leave(this)
    this.#left()
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
