/**
 * One place in one log, as an async iterator. A subscriber is a cursor, not a queue: what it has not taken yet lies
 * in the hub's ring or in the store, whatever is published meanwhile.
 *
 *     starting --> reading <--> waiting (for the hub to move)
 *         \-----------\------------\--> ended (return, abort, error, last item)
 *
 * It reads item after item: from the ring where it can, else a bounded page from the store. Both carry dense
 * offsets, so a hole shows; moving between the two can neither skip nor repeat.
 */
import { SluiceError } from '../../shared/errors.ts'
import type { Gap, GapReason, Snapshot } from '../../shared/items.ts'
import type { Cursor } from '../../shared/protocol/cursor.ts'
import { sealEnvelope } from './envelope.ts'
import type { Envelope } from './envelope.ts'
import { holeAfter } from './hub.ts'
import type { Hub, Slot } from './hub.ts'
import { unborn } from './log.ts'
import type { LogPlace } from './log.ts'
import type { Folding } from './snapshot.ts'

/** What a topic does for a subscriber whose next events are gone. */
export type GapPolicy =
  /** End with a `GAP` error. */
  | 'error'
  /** Deliver the folded state, then go on with deltas. */
  | 'snapshot'
  /** Deliver a `Gap`, then go on at the end of the log. */
  | 'latest'

export interface SubscriberOptions<Item> {
  readonly hub: Hub<Item>
  readonly folding: Folding<Item, unknown> | null
  readonly onGap: GapPolicy
  /** Where to go on; `undefined` for a newcomer. */
  readonly after: string | undefined
  readonly from: 'start' | 'end'
  readonly filter: ((item: Item) => boolean) | undefined
  readonly signal: AbortSignal | undefined
  /** The stream ends after this item; `null` where there is no such item. */
  readonly isLast: ((item: Item) => boolean) | null
  /** Called once, however the subscriber ends. */
  readonly onEnd: () => void
}

type Delivered<Item> = Envelope<Item | Gap | Snapshot<unknown>>

const done = { done: true, value: undefined } as const

export class Subscriber<Item> {
  readonly #options: SubscriberOptions<Item>
  readonly #hub: Hub<Item>

  #place: LogPlace = { epoch: unborn, offset: 0 }
  /** What was read ahead: at most one page, or what a start or gap puts before the next item. */
  #ahead: Slot<Item | Gap | Snapshot<unknown>>[] = []

  readonly #started: Promise<void>
  #ended = false
  #wake: (() => void) | null = null

  // Calls of next() that overlap are answered in order: how many there are, and the latest one.
  #overlapping = 0
  #latest: Promise<unknown> = Promise.resolve()

  constructor(options: SubscriberOptions<Item>) {
    this.#options = options
    this.#hub = options.hub
    options.signal?.addEventListener('abort', this.#onAbort)
    if (options.signal?.aborted) this.#end()
    // Started at once, and not by the first next(): what is published from now on belongs to the subscriber.
    this.#started = this.#start()
    // Heard by the first next(), or by nobody if there is none.
    this.#started.catch(() => {})
  }

  /** The cursor at which the subscriber begins; rejects as the first `next()` would. */
  async position(): Promise<Cursor> {
    await this.#started
    return this.#hub.log.cursorAt(this.#place)
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

  async #take(): Promise<IteratorResult<Delivered<Item>, undefined>> {
    try {
      return await this.#advance()
    } catch (error) {
      this.#end()
      throw error
    } finally {
      this.#overlapping--
    }
  }

  async #advance(): Promise<IteratorResult<Delivered<Item>, undefined>> {
    if (!this.#ended) await this.#started
    for (;;) {
      if (this.#ended) return done
      const slot = this.#ahead.length > 0 ? this.#ahead.shift() : this.#fromRing()
      if (slot === undefined) await this.#readOn()
      else if (slot !== null) {
        // A control item (gap, snapshot) passes the filter; it has no offset of its own to advance to.
        const item = slot[1] as Item
        if (this.#options.isLast?.(item)) this.#end()
        if (isControl(item) || !this.#options.filter || this.#options.filter(item)) {
          return { done: false, value: slot }
        }
      }
    }
  }

  /** The next slot from the ring, synchronously; `undefined` when it is not to be had so. */
  #fromRing(): Slot<Item> | undefined {
    const { epoch, offset } = this.#place
    if (epoch !== this.#hub.epoch || offset >= this.#hub.head) return undefined
    const slot = this.#hub.recent(offset + 1)
    if (slot !== undefined) this.#place = { epoch, offset: offset + 1 }
    return slot
  }

  /** Waits for more, reads a page, or deals with a gap: afterwards there is something to take, or to wait for again. */
  async #readOn(): Promise<void> {
    const hub = this.#hub
    if (hub.failure) throw hub.failure
    if (this.#place.epoch !== hub.epoch) {
      return this.#crossLives()
    }
    if (this.#place.offset >= hub.head) return this.#wait()
    const { epoch, offset } = this.#place
    const page = await hub.readPage(offset)
    if (page.state?.epoch !== epoch) {
      // The store knows of another life before the hub does; it is about to learn of it.
      if (hub.epoch === epoch) await this.#wait()
      return
    }
    if (page.state.first > offset + 1) return this.#meetGap('trimmed')
    let expected = offset
    for (const record of page.records) {
      if (record.offset !== ++expected) throw holeAfter(hub.log, expected - 1, record.offset)
      this.#ahead.push(hub.recent(record.offset) ?? hub.seal(epoch, record))
    }
    this.#place = { epoch, offset: expected }
  }

  async #crossLives(): Promise<void> {
    // A log without events has no life yet; its first one is the one we wait for.
    if (this.#place.epoch === unborn) {
      this.#place = { epoch: this.#hub.epoch, offset: 0 }
      return
    }
    // The cursor may come from a node that knows of this life before our hub does.
    const state = await this.#hub.log.store.describe(this.#hub.log.name)
    if (state?.epoch !== this.#place.epoch) return this.#meetGap('reborn')
    if (this.#hub.epoch !== this.#place.epoch) await this.#wait()
  }

  #wait(): Promise<void> {
    if (this.#ended) return Promise.resolve()
    return new Promise(resolve => {
      const leave = this.#hub.onMove(resolve)
      this.#wake = () => {
        leave()
        resolve()
      }
    })
  }

  async #start(): Promise<void> {
    const { after, from, folding } = this.#options
    if (this.#ended) return
    await this.#hub.ready()
    if (after !== undefined) await this.#resume(after)
    else if (folding) await this.#giveSnapshot(folding)
    else if (from === 'end') this.#place = this.#hub.end()
    // From the start of what is retained: whatever was dropped before, a newcomer has not missed.
    else this.#place = await this.#firstRetained()
  }

  async #resume(after: string): Promise<void> {
    const place = this.#hub.log.placeOf(after)
    // The hub may lag behind the node that gave out the cursor: the store has the last word.
    const state = await this.#hub.log.store.describe(this.#hub.log.name)
    const { epoch, last } = state ?? { epoch: unborn, last: 0 }
    if (place.epoch === epoch && place.offset > last) {
      throw new SluiceError(
        'CURSOR_INVALID',
        `The cursor lies in the future of ${this.#hub.log}: it names event ${place.offset}, and the last one is ${last}. Pass the id of a received event unchanged.`,
        { data: { reason: 'future' } },
      )
    }
    this.#place = place
    if (place.epoch !== epoch && place.epoch !== unborn) return this.#meetGap('reborn')
    if (place.epoch === epoch && state && state.first > place.offset + 1) return this.#meetGap('trimmed')
    // Who has seen the last item has seen the whole stream: it must not wait for more.
    if (this.#options.isLast && place.offset > 0) await this.#endIfLast(this.#options.isLast)
  }

  async #endIfLast(isLast: (item: Item) => boolean): Promise<void> {
    const { epoch, offset } = this.#place
    const page = await this.#hub.readPage(offset - 1)
    const record = page.records[0]
    const slot = record?.offset === offset ? this.#hub.seal(epoch, record) : null
    if (slot && isLast(slot[1])) this.#end()
  }

  async #firstRetained(): Promise<LogPlace> {
    const state = await this.#hub.log.store.describe(this.#hub.log.name)
    return state ? { epoch: state.epoch, offset: state.first - 1 } : { epoch: unborn, offset: 0 }
  }

  async #meetGap(reason: GapReason): Promise<void> {
    const { onGap, folding } = this.#options
    if (onGap === 'snapshot' && folding) return this.#giveSnapshot(folding)
    if (onGap === 'latest') {
      this.#place = this.#hub.end()
      return this.#putAhead({ $sluice: 'gap', reason })
    }
    throw new SluiceError(
      'GAP',
      reason === 'trimmed'
        ? `Events after the cursor are no longer retained in ${this.#hub.log}. Load fresh state and subscribe without the cursor.`
        : `The cursor is of an earlier life of ${this.#hub.log}, which was wiped since. Load fresh state and subscribe without the cursor.`,
      { data: { reason } },
    )
  }

  async #giveSnapshot(folding: Folding<Item, unknown>): Promise<void> {
    const { place, state } = await folding.current()
    this.#place = place
    this.#putAhead({ $sluice: 'snapshot', state })
  }

  #putAhead(item: Gap | Snapshot<unknown>): void {
    this.#ahead = [sealEnvelope({ tag: this.#hub.log.tag, ...this.#place }, item)]
  }

  readonly #onAbort = (): void => this.#end()

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#ahead = []
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#wake?.()
    this.#options.onEnd()
  }
}

function isControl(item: unknown): boolean {
  return typeof item === 'object' && item !== null && '$sluice' in item
}
