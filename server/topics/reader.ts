/**
 * One place in one log, and how it moves: from the hub's ring where it can, else by bounded pages from the store. Both
 * carry dense offsets, so a hole shows; moving between the two can neither skip nor repeat. What a reader has not
 * taken yet lies in the ring or in the store, whatever is published meanwhile: it is a cursor, not a queue.
 */
import { SluiceError } from '../../shared/errors.ts'
import type { Gap, Snapshot } from '../../shared/items.ts'
import { parseCursor } from '../../shared/protocol/cursor.ts'
import type { Cursor, Offset } from '../../shared/protocol/cursor.ts'
import { batchBounds } from './batch.ts'
import type { Batch } from './batch.ts'
import { sealEnvelope } from './envelope.ts'
import type { Envelope } from './envelope.ts'
import { holeAfter } from './hub.ts'
import type { Hub, Slot } from './hub.ts'
import { unborn } from './log.ts'
import type { LogPlace } from './log.ts'
import type { Folding } from './snapshot.ts'
import type { Tally } from './tally.ts'
import { Conflation } from './when-slow.ts'
import type { WhenSlow } from './when-slow.ts'

/** What a topic does for a subscriber whose next events are gone. */
export type GapPolicy =
  /** End with a `GAP` error. */
  | 'error'
  /** Deliver the folded state, then go on with deltas. */
  | 'snapshot'
  /** Deliver a `Gap`, then go on at the end of the log. */
  | 'latest'

/** What readers of one log have in common. */
export interface ReadLog<Item> {
  readonly hub: Hub<Item>
  readonly folding: Folding<Item, unknown> | null
  readonly onGap: GapPolicy
  /** Nothing comes after this item; `null` where there is no such item. */
  readonly isLast: ((item: Item) => boolean) | null
}

export interface ReaderOptions<Item> {
  /** Where to go on; `undefined` for a newcomer. */
  readonly after: string | undefined
  readonly from: 'start' | 'end'
  /** Which events to leave out. */
  readonly filter: ((item: Item) => boolean) | undefined
  readonly whenSlow: WhenSlow<Item>
}

/** What a reader has read ahead that has read nothing ahead, as most of them most of the time: never written to. */
const nothing: never[] = []

export type Delivered<Item> = Envelope<Item | Gap | Snapshot<unknown>>

export class Reader<Item> {
  readonly whenSlow: WhenSlow<Item>
  readonly #log: ReadLog<Item>
  readonly #filter: ((item: Item) => boolean) | undefined

  #place: LogPlace = { epoch: unborn, offset: 0 }
  /** What was read ahead: at most one page, or what a start or gap puts before the next item. */
  #ahead: Slot<Item | Gap | Snapshot<unknown>>[] = nothing
  /** When the first record of the last page was appended, in milliseconds since 1970; none before there is one. */
  #pageAt: number | undefined = undefined
  /** The latest of each key, where a reader that is behind wants no more. */
  readonly #conflation: Conflation<Item> | null
  /** Where to count what is dropped, if anybody does. */
  tally: Tally | undefined = undefined
  #metGap = false
  #ended = false
  #wake: (() => void) | null = null

  constructor(log: ReadLog<Item>, { filter, whenSlow }: ReaderOptions<Item>) {
    this.#log = log
    this.#filter = filter
    this.whenSlow = whenSlow
    const conflates = whenSlow !== 'wait' && whenSlow.policy === 'conflate'
    this.#conflation = conflates ? new Conflation(whenSlow.by) : null
  }

  get #hub(): Hub<Item> {
    return this.#log.hub
  }

  get ended(): boolean {
    return this.#ended
  }

  get cursor(): Cursor {
    return this.#hub.log.cursorAt(this.#place)
  }

  /** True once events that it was to go on with were gone. */
  get metGap(): boolean {
    return this.#metGap
  }

  /** How many events of its log, as far as the hub knows it, have not been taken. */
  get lag(): number {
    const { epoch, head } = this.#hub
    // Of another life than its own, such as the first one of a log that had no event, it has read nothing.
    const unread = this.#place.epoch === epoch ? Math.max(0, head - this.#place.offset) : head
    return unread + this.#ahead.length + (this.#conflation?.size ?? 0)
  }

  /** How long ago the next of them was appended, in milliseconds: of one that lies in the store, one of its page. */
  get lagMs(): number {
    if (this.lag === 0) return 0
    const { epoch, offset } = this.#place
    const next = this.#ahead.find(slot => slot !== null) ?? this.#conflation?.first
    const unread = epoch === this.#hub.epoch ? offset + 1 : 1
    return this.#hub.ageOf(next ? parseCursor(next[0]).offset : unread, this.#pageAt ?? Infinity)
  }

  /** True when all that the hub knows has been taken: what comes next can be pushed. */
  get atHead(): boolean {
    return (
      this.#ahead.length === 0 &&
      !this.#conflation?.size &&
      !this.#hub.failure &&
      this.#place.epoch === this.#hub.epoch &&
      this.#place.offset === this.#hub.head
    )
  }

  /** Finds the place to begin at. Rejects with what is wrong with the cursor. */
  async start({ after, from }: ReaderOptions<Item>): Promise<void> {
    const { folding } = this.#log
    if (after !== undefined) return this.#resume(after)
    // Asked for at once: what is published from now on belongs to a newcomer.
    const end = await this.#hub.endOfLog()
    if (folding) await this.#giveSnapshot(folding)
    else if (from === 'end') this.#place = this.#hub.shared(end)
    // From the start of what is retained: whatever was dropped before, a newcomer has not missed.
    else this.#place = await this.#firstRetained()
  }

  /** The next item that may be had at once; `undefined` when there is none: then `readOn`. */
  take(): Delivered<Item> | undefined {
    if (this.#conflation) return this.#takeConflated(this.#conflation)
    this.#dropOldest()
    while (!this.#ended) {
      const slot = this.#next()
      if (slot === undefined) return undefined
      if (slot && this.#passes(slot)) return slot
    }
    return undefined
  }

  /**
   * The next items that may be had at once, as a batch shared with others where that can be; else `null`.
   *
   * @param atMost how many of them.
   */
  takeBatch(atMost = Infinity): Batch<Item | Gap | Snapshot<unknown>> | null {
    const maxItems = Math.min(atMost, batchBounds.maxItems)
    if (this.#conflation) return this.#takeConflatedBatch(maxItems)
    this.#dropOldest()
    const { epoch, offset } = this.#place
    if (this.#ahead.length > 0) return this.#select(this.#ahead.splice(0, maxItems), offset)
    if (this.#ended || epoch !== this.#hub.epoch) return null
    const batch = this.#hub.batchAfter(offset, maxItems)
    return batch && this.accept(batch)
  }

  /** Takes a batch that follows this place, and moves behind it. Returns what of it is to be delivered. */
  accept(batch: Batch<Item>): Batch<Item> {
    this.#place = this.#hub.placeAt(batch.to)
    return this.#filter || this.#log.isLast ? this.#select(batch.envelopes, batch.from) : batch
  }

  #select<T>(slots: readonly (Envelope<T> | null)[], from: number): Batch<T> {
    const envelopes: Envelope<T>[] = []
    for (const slot of slots) {
      // A control item (gap, snapshot) is no Item, and passes both tests.
      if (slot && !this.#ended && this.#passes(slot as Envelope<unknown> as Delivered<Item>))
        envelopes.push(slot)
    }
    return { envelopes, from, to: this.#place.offset }
  }

  #next(): Slot<Item | Gap | Snapshot<unknown>> | undefined {
    return this.#ahead.length > 0 ? this.#ahead.shift() : this.#fromRing()
  }

  /** Gathers all that is there before it delivers the first: what comes later may replace it. */
  #takeConflated(conflation: Conflation<Item>): Delivered<Item> | undefined {
    for (let slot = this.#next(); slot !== undefined; slot = this.#next()) {
      if (slot && isControl(slot[1])) {
        // A gap or a state makes what lay before it of no interest.
        conflation.clear()
        return slot
      }
      // What is not control is an Item.
      if (slot && this.#passes(slot) && conflation.add(slot as Envelope<Item>) && this.tally) {
        this.tally.dropped.conflate += 1
      }
    }
    const { epoch, offset } = this.#place
    const hasMore = epoch === this.#hub.epoch && offset < this.#hub.head
    return this.#ended || hasMore ? undefined : conflation.shift()
  }

  #takeConflatedBatch(maxItems: number): Batch<Item | Gap | Snapshot<unknown>> | null {
    const envelopes: Delivered<Item>[] = []
    while (envelopes.length < maxItems) {
      const envelope = this.take()
      if (!envelope) break
      envelopes.push(envelope)
    }
    const { offset } = this.#place
    return envelopes.length > 0 ? { envelopes, from: offset, to: offset } : null
  }

  #dropOldest(): void {
    const { whenSlow } = this
    if (whenSlow === 'wait' || whenSlow.policy !== 'drop-oldest') return
    const [next] = this.#ahead
    if (next && isControl(next[1])) return
    const { epoch, offset } = this.#place
    // What was read ahead has not been taken, and is as old: what is not dropped of it can be read again.
    const taken = offset - this.#ahead.length
    const dropped = this.#hub.head - whenSlow.maxLag - taken
    if (epoch !== this.#hub.epoch || dropped <= 0) return
    this.#place = { epoch, offset: taken + dropped }
    if (this.tally) this.tally.dropped.dropOldest += dropped
    this.#putAhead({ $sluice: 'gap', reason: 'dropped', dropped })
  }

  /** Whether an item is to be delivered. The last one of all ends the reader. */
  #passes(envelope: Delivered<Item>): boolean {
    const item = envelope[1]
    if (isControl(item)) {
      if (this.#log.isLast?.(item as Item)) this.end()
      return true
    }
    return this.#filter?.(item as Item) ?? true
  }

  /** The next slot from the ring, synchronously; `undefined` when it is not to be had so. */
  #fromRing(): Slot<Item> | undefined {
    const { epoch, offset } = this.#place
    if (epoch !== this.#hub.epoch || offset >= this.#hub.head) return undefined
    const slot = this.#hub.recent(offset + 1)
    if (slot !== undefined) this.#place = { epoch, offset: offset + 1 }
    return slot
  }

  /** Waits for more, reads a page, or deals with a gap: afterwards there is something to take, or to read on for. */
  async readOn(): Promise<void> {
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
    }
    hub.keep(epoch, page.records)
    // The hub may have learned of another life meanwhile, whose items are not these.
    const held = (at: Offset) => (hub.epoch === epoch ? hub.recent(at) : undefined)
    if (held(offset + 1) !== undefined) return // to be had from there, as by all who come to this place
    const slots = page.records.map(record => held(record.offset) ?? hub.seal(epoch, record))
    this.#ahead = [...this.#ahead, ...slots]
    this.#place = { epoch, offset: expected }
    this.#pageAt = page.records[0]?.at ?? this.#pageAt
  }

  async #crossLives(): Promise<void> {
    const { epoch } = this.#hub
    // The cursor may come from a node that knows of this life before our hub does.
    const state = await this.#hub.log.store.describe(this.#hub.log.name)
    // A log without events has no life yet; its first one is the one we wait for. One that was wiped just now has
    // none either, and our hub may still be in the life before.
    if (this.#place.epoch === unborn) {
      if (state?.epoch === this.#hub.epoch) this.#place = { epoch: state.epoch, offset: 0 }
      else if (this.#hub.epoch === epoch) await this.#wait()
      return
    }
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

  async #resume(after: string): Promise<void> {
    const place = this.#hub.log.placeOf(after)
    await this.#hub.opened // or it would know of no life of the log yet
    if (this.#isAtHand(place)) this.#place = this.#hub.shared(place)
    else await this.#look(place)
    // Who has seen the last item has seen the whole stream: it must not wait for more.
    if (this.#log.isLast && place.offset > 0) await this.#endIfLast(this.#log.isLast)
  }

  /** Whether the hub has all that follows. Then a herd that comes back need not ask the store, one by one. */
  #isAtHand({ epoch, offset }: LogPlace): boolean {
    const hub = this.#hub
    return epoch === hub.epoch && (offset === hub.head || hub.recent(offset + 1) !== undefined)
  }

  async #look(place: LogPlace): Promise<void> {
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
    // What retention has dropped may have come to hand here meanwhile.
    if (place.epoch === epoch && state && state.first > place.offset + 1 && !this.#isAtHand(place)) {
      return this.#meetGap('trimmed')
    }
  }

  async #endIfLast(isLast: (item: Item) => boolean): Promise<void> {
    const { epoch, offset } = this.#place
    const page = await this.#hub.readPage(offset - 1)
    const record = page.records[0]
    const slot = record?.offset === offset ? this.#hub.seal(epoch, record) : null
    if (slot && isLast(slot[1])) this.end()
  }

  async #firstRetained(): Promise<LogPlace> {
    const state = await this.#hub.log.store.describe(this.#hub.log.name)
    return state ? { epoch: state.epoch, offset: state.first - 1 } : { epoch: unborn, offset: 0 }
  }

  async #meetGap(reason: 'trimmed' | 'reborn'): Promise<void> {
    const { onGap, folding } = this.#log
    this.#metGap = true
    if (onGap === 'snapshot' && folding) return this.#giveSnapshot(folding)
    if (onGap === 'latest') {
      this.#place = await this.#hub.endOfLog()
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

  end(): void {
    this.#ended = true
    this.#ahead = nothing
    this.#wake?.()
  }
}

function isControl(item: unknown): boolean {
  return typeof item === 'object' && item !== null && '$sluice' in item
}
