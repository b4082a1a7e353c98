/**
 * The folded state of one log: what a newcomer gets instead of the whole log. Kept per hub, brought up to date when
 * somebody asks, and checkpointed in the store every so many events, so that a fold never reads the whole log.
 *
 * Retention and checkpoints go together: a topic with a fold trims its log only after a checkpoint that covers what
 * is dropped. Where records are gone all the same (they aged while nobody looked), the state is that of the records
 * which are left.
 */
import type { Epoch, Offset } from '../../shared/protocol/cursor.ts'
import type { Fold } from '../../shared/items.ts'
import type { Retention } from '../stores/store.ts'
import type { Hub, Slot } from './hub.ts'
import { unborn } from './log.ts'
import type { LogPlace } from './log.ts'
import { packPayload, unpackPayload } from './payload.ts'

export interface FoldingOptions<Item, State> {
  readonly fold: Fold<Item, State>
  /** An item that ends the log takes no part in the fold; a newcomer receives it after the state. */
  readonly isLast: ((item: Item) => boolean) | null
  /** A checkpoint is written after so many events. */
  readonly checkpointEvery: number
  readonly retain: Retention | undefined
}

export interface Folded<State> {
  readonly place: LogPlace
  readonly state: State
}

export class Folding<Item, State> {
  readonly #hub: Hub<Item>
  readonly #options: FoldingOptions<Item, State>

  #epoch: Epoch = unborn
  #offset: Offset = 0
  #state: State
  #checkpointed: Offset = 0
  #loaded = false
  /** Catching up is one at a time: the next caller starts where the last one ended. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(hub: Hub<Item>, options: FoldingOptions<Item, State>) {
    this.#hub = hub
    this.#options = options
    this.#state = options.fold.initial
  }

  /** The state at the end of the log, with its exact place. Rejects if the fold itself throws. */
  async current(): Promise<Folded<State>> {
    const turn = this.#turn.then(async () => {
      await this.#catchUp()
      await this.#checkpointIfDue()
      return { place: { epoch: this.#epoch, offset: this.#offset }, state: this.#state }
    })
    // The next caller waits for this turn and does not care how it ended.
    this.#turn = turn.catch(() => {})
    return turn
  }

  /** Writes a checkpoint if one is due at this offset, without making anybody wait for it to be due. */
  async checkpoint(offset: Offset): Promise<void> {
    if (offset - this.#checkpointed >= this.#options.checkpointEvery) await this.current()
  }

  async #catchUp(): Promise<void> {
    const hub = this.#hub
    const end = await hub.endOfLog()
    /** The first record that was retained when the latest checkpoint was looked at, because of what is missing. */
    let lookedAt: Offset | null = null
    for (;;) {
      if (hub.failure) throw hub.failure
      if (!this.#loaded || this.#epoch !== hub.epoch) await this.#load()
      if (this.#offset >= (end.epoch === hub.epoch ? end.offset : hub.head)) return
      const slot = hub.recent(this.#offset + 1)
      if (slot !== undefined) {
        if (!this.#step(slot)) return
        continue
      }
      const epoch = this.#epoch
      const page = await hub.readPage(this.#offset)
      if (page.state?.epoch !== epoch) {
        // The log was removed or born again while we read: the hub will say so. Until then its state is that of no
        // events, and not that of some of them.
        this.#loaded = false
        return this.#restartAt(1)
      }
      const { first } = page.state
      if (first > this.#offset + 1) {
        if (lookedAt !== first) {
          // Another node has trimmed what its own checkpoint covers.
          lookedAt = first
          await this.#load()
          continue
        }
        // There is no such checkpoint: records have aged while nobody looked.
        this.#restartAt(first)
      }
      for (const record of page.records) {
        if (record.offset !== this.#offset + 1) continue
        if (!this.#step(hub.seal(epoch, record))) return
      }
    }
  }

  #step(slot: Slot<Item>): boolean {
    if (slot) {
      if (this.#options.isLast?.(slot[1])) return false
      this.#state = this.#options.fold.step(this.#state, slot[1])
    }
    this.#offset++
    return true
  }

  #restartAt(first: Offset): void {
    this.#state = this.#options.fold.initial
    this.#offset = first - 1
  }

  async #load(): Promise<void> {
    const epoch = this.#hub.epoch
    const saved = epoch === unborn ? null : await this.#hub.log.store.loadCheckpoint(this.#hub.log.name)
    const checkpoint = saved?.epoch === epoch ? saved : null
    this.#epoch = epoch
    this.#offset = checkpoint?.offset ?? 0
    this.#checkpointed = this.#offset
    // The checkpoint was packed from a State by this same topic.
    this.#state = checkpoint ? (unpackPayload(checkpoint.payload) as State) : this.#options.fold.initial
    this.#loaded = true
  }

  async #checkpointIfDue(): Promise<void> {
    const { checkpointEvery, retain } = this.#options
    if (this.#offset - this.#checkpointed < checkpointEvery) return
    const { store, name } = this.#hub.log
    const covered = { epoch: this.#epoch, offset: this.#offset }
    this.#checkpointed = this.#offset
    await store.saveCheckpoint(name, { ...covered, payload: packPayload(this.#state) })
    // What was published meanwhile is in no checkpoint.
    if (retain) await store.trim(name, retain, covered)
  }
}
