/**
 * What events look like on the wire, remembered for as long as somebody holds them. An event of a topic is one
 * envelope for all its subscribers, and a batch of them one batch: so each is encoded once, not once per subscriber.
 * Remembered by identity, hence only for what a topic has sealed; any other value is encoded each time.
 */
import type { AnyTRPCRouter } from '@trpc/server'
import type { Counters } from '../observe/counters.ts'
import { formatSseData } from '../../shared/protocol/sse.ts'
import type { Batch } from '../topics/batch.ts'
import { isSealed, type Envelope } from '../topics/envelope.ts'

/** Pieces ready for the wires of one packing. Declared here in the terms of this room; session/wire.ts has it. */
export interface PackedBy {
  readonly joins: boolean
  pack(text: string): string | Uint8Array
}

type Pieces = readonly (string | Uint8Array)[]

/** Clients number their requests alike, so a few heads serve most; beyond them, a batch is put together anew. */
const maxHeadsRemembered = 8

export class Encodings {
  readonly #counted: Counters['encodings']
  readonly #serialize: (value: unknown) => unknown
  readonly #tails = new WeakMap<Envelope<unknown>, string>()
  readonly #events = new WeakMap<Envelope<unknown>, string>()
  readonly #batches = new WeakMap<PackedBy, WeakMap<Batch<unknown>, Map<string, Pieces>>>()

  constructor(router: AnyTRPCRouter, counters: Counters) {
    this.#counted = counters.encodings
    const { output } = router._def._config.transformer
    this.#serialize = value => output.serialize(value) as unknown
  }

  /**
   * An event as a tRPC message, byte for byte as tRPC has it.
   *
   * @param head the beginning of the message, which repeats its request: `{"id":1`.
   * @throws whatever the transformer throws.
   */
  toMessage(head: string, envelope: Envelope<unknown>): string {
    let tail = this.#tails.get(envelope)
    if (tail === undefined) {
      this.#counted.misses += 1
      const [id, data] = envelope
      const encoded = JSON.stringify(this.#serialize({ id, data }))
      tail = `,"result":{"type":"data","data":${encoded},"id":${JSON.stringify(id)}}}`
      if (isSealed(envelope)) this.#tails.set(envelope, tail)
    } else {
      this.#counted.hits += 1
    }
    return head + tail
  }

  /** An event as a server-sent event. @throws whatever the transformer throws, and `EVENT_ID_INVALID`. */
  toEvent(envelope: Envelope<unknown>): string {
    let event = this.#events.get(envelope)
    if (event === undefined) {
      this.#counted.misses += 1
      event = formatSseData(JSON.stringify(this.#serialize(envelope[1])), envelope[0])
      if (isSealed(envelope)) this.#events.set(envelope, event)
    } else {
      this.#counted.hits += 1
    }
    return event
  }

  /** A batch as tRPC messages, packed. @throws as `toMessage` does. */
  toMessages(head: string, batch: Batch<unknown>, packing: PackedBy): Pieces {
    return this.#remember(batch, packing, head, () => {
      const frames = batch.envelopes.map(envelope => packing.pack(this.toMessage(head, envelope)))
      return packing.joins ? [Buffer.concat(frames.map(toBytes))] : frames
    })
  }

  /** A batch as server-sent events, packed. @throws as `toEvent` does. */
  toEvents(batch: Batch<unknown>, packing: PackedBy): Pieces {
    return this.#remember(batch, packing, '', () => [
      packing.pack(batch.envelopes.map(envelope => this.toEvent(envelope)).join('')),
    ])
  }

  #remember(batch: Batch<unknown>, packing: PackedBy, head: string, encode: () => Pieces): Pieces {
    const known = this.#known(batch, packing)
    let pieces = known.get(head)
    if (!pieces) {
      pieces = encode()
      if (known.size < maxHeadsRemembered) known.set(head, pieces)
    } else {
      this.#counted.hits += batch.envelopes.length
    }
    return pieces
  }

  #known(batch: Batch<unknown>, packing: PackedBy): Map<string, Pieces> {
    let batches = this.#batches.get(packing)
    if (!batches) this.#batches.set(packing, (batches = new WeakMap()))
    let known = batches.get(batch)
    if (!known) batches.set(batch, (known = new Map()))
    return known
  }
}

function toBytes(piece: string | Uint8Array): Uint8Array {
  return typeof piece === 'string' ? Buffer.from(piece) : piece
}
