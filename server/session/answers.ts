/** Answers as tRPC's messages: one writer per connection, one `Answers` per request on it. */
import { isTrackedEnvelope, transformTRPCResponse } from '@trpc/server'
import type { TrackedEnvelope } from '@trpc/server'
import { jsonEncoder, type Encoder } from '@trpc/server/adapters/ws'
import type { TRPCErrorShape, TRPCResponseMessage } from '@trpc/server/rpc'
import type { RequestId, ServerResult } from '../../shared/protocol/messages.ts'
import { unpresentable, type ErrorDesk, type Origin } from '../procedures/present-error.ts'
import type { Encodings } from '../procedures/encodings.ts'
import type { Batch, Replies } from '../procedures/replies.ts'
import type { Outlet } from './outlet.ts'

/** What an answer repeats of its request. */
export interface Envelope {
  readonly id: RequestId | null
  readonly jsonrpc?: '2.0' | undefined
}

/** Encodes messages and sends them. */
export class MessageWriter {
  readonly outlet: Outlet
  readonly #encoder: Encoder
  readonly #encodings: Encodings
  readonly #desk: ErrorDesk
  readonly #origin: () => Origin

  constructor(outlet: Outlet, encoder: Encoder, encodings: Encodings, desk: ErrorDesk, origin: () => Origin) {
    this.outlet = outlet
    this.#encoder = encoder
    this.#encodings = encodings
    this.#desk = desk
    this.#origin = origin
  }

  /** @throws whatever the transformer or the encoder throws; nothing was sent then. */
  result({ id, jsonrpc }: Envelope, result: ServerResult): void {
    // ServerResult is tRPC's own union and one extension, which the transformer leaves alone.
    this.#send({ id, jsonrpc, result } as TRPCResponseMessage)
  }

  /** Whether what is remembered of shared events can be used: it is what the JSON encoder would write. */
  get sharesEncodings(): boolean {
    return this.#encoder === jsonEncoder
  }

  /** An event with an id. @throws as `result` does. */
  tracked(head: string, envelope: TrackedEnvelope<unknown>): void {
    this.outlet.send(this.#encodings.toMessage(head, envelope))
  }

  /** Events of a topic, which others get, too. @throws as `result` does. */
  batch(head: string, batch: Batch<unknown>): void {
    this.outlet.sendPacked(this.#encodings.toMessages(head, batch, this.outlet.packing))
  }

  /** Never throws: what cannot be encoded is reported, and replaced by a shape that can. */
  error({ id, jsonrpc }: Envelope, shape: TRPCErrorShape): void {
    try {
      this.#send({ id, jsonrpc, error: shape })
    } catch (failure) {
      this.#desk.report(failure, this.#origin())
      if (shape !== unpresentable) this.error({ id, jsonrpc }, unpresentable)
    }
  }

  /** A message that is no answer. Never throws. */
  notify(message: object): void {
    try {
      this.outlet.send(this.#encoder.encode(message))
    } catch (failure) {
      this.#desk.report(failure, this.#origin())
    }
  }

  #send(message: TRPCResponseMessage): void {
    const config = this.#desk.router._def._config
    this.outlet.send(this.#encoder.encode(transformTRPCResponse(config, message)))
  }
}

/** The answers to one request. */
export class Answers implements Replies {
  readonly #writer: MessageWriter
  readonly #envelope: Envelope
  /** How each of its messages begins; null where messages are not JSON. */
  readonly #head: string | null

  constructor(writer: MessageWriter, envelope: Envelope) {
    this.#writer = writer
    this.#envelope = envelope
    this.#head = writer.sharesEncodings ? JSON.stringify(envelope).slice(0, -1) : null
  }

  /** The result of a query or mutation. @throws when it cannot be encoded. */
  data(data: unknown): void {
    this.#writer.result(this.#envelope, { type: 'data', data })
  }

  started(position: string | null): void {
    this.#writer.result(
      this.#envelope,
      position === null ? { type: 'started' } : { type: 'started', position },
    )
  }

  next(value: unknown): void {
    if (isTrackedEnvelope(value)) {
      if (this.#head !== null) return this.#writer.tracked(this.#head, value)
      const [id, data] = value
      this.#writer.result(this.#envelope, { type: 'data', data: { id, data }, id })
    } else {
      this.data(value)
    }
  }

  push(batch: Batch<unknown>): void {
    if (this.#head !== null) this.#writer.batch(this.#head, batch)
    else for (const envelope of batch.envelopes) this.next(envelope)
  }

  error(shape: TRPCErrorShape): void {
    this.#writer.error(this.#envelope, shape)
  }

  returned(): void {
    this.stopped()
  }

  stopped(): void {
    this.#writer.result(this.#envelope, { type: 'stopped' })
  }

  get room(): Promise<void> | null {
    return this.#writer.outlet.room
  }
}
