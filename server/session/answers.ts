/** Answers as tRPC's messages: one writer per connection, one `Answers` per request on it. */
import { isTrackedEnvelope } from '@trpc/server'
import type { TrackedEnvelope } from '@trpc/server'
import type { TRPCErrorShape } from '@trpc/server/rpc'
import type { ControlType, Envelope, Format, Message } from '../../shared/codec/codec.ts'
import type { Lag } from '../../shared/items.ts'
import type { ServerResult } from '../../shared/protocol/messages.ts'
import { unpresentable, type ErrorDesk, type Origin } from '../procedures/present-error.ts'
import type { EncodedMessages, Encodings, Head } from '../procedures/encodings.ts'
import type { Batch, Replies } from '../procedures/replies.ts'
import type { Credits } from './credits.ts'
import type { Outlet } from './outlet.ts'

/** Whose messages they are. */
export interface Correspondent {
  /** Where an error comes from that belongs to no request. */
  nowhere(): Origin
}

/** Encodes messages and sends them. */
export class MessageWriter {
  readonly outlet: Outlet
  /** How messages of a procedure, or of none, are written on this connection. */
  readonly formatFor: (path?: string) => Format
  readonly encodings: Encodings
  readonly #desk: ErrorDesk
  readonly #owner: Correspondent

  constructor(
    outlet: Outlet,
    formatFor: (path?: string) => Format,
    encodings: Encodings,
    desk: ErrorDesk,
    owner: Correspondent,
  ) {
    this.outlet = outlet
    this.formatFor = formatFor
    this.encodings = encodings
    this.#desk = desk
    this.#owner = owner
  }

  /** Returns the bytes. @throws whatever the transformer or the encoder throws; nothing was sent then. */
  send(message: Message, format: Format): number {
    return this.outlet.send(format.encode(message))
  }

  /** Never throws: what cannot be encoded is reported, and replaced by a shape that can. */
  error(envelope: Envelope, shape: TRPCErrorShape): void {
    try {
      this.send({ ...envelope, error: shape }, this.formatFor())
    } catch (failure) {
      this.#desk.report(failure, this.#owner.nowhere())
      if (shape !== unpresentable) this.error(envelope, unpresentable)
    }
  }

  /** A message that is no answer. Never throws. */
  notify(message: Message): void {
    try {
      this.send(message, this.formatFor())
    } catch (failure) {
      this.#desk.report(failure, this.#owner.nowhere())
    }
  }
}

/** The answers to one request. */
export class Answers implements Replies {
  readonly #writer: MessageWriter
  readonly #envelope: Envelope
  readonly #format: Format
  /** What others may have had encoded already; null where nothing is remembered. */
  readonly #shared: EncodedMessages | null
  /** How its events begin; there from the first one on. */
  #head: Head | null = null
  /** What may be sent, where the client counts. */
  readonly #credits: Credits | null

  /** @param path of the procedure, by which a codec may know more of what is answered. */
  constructor(writer: MessageWriter, envelope: Envelope, path?: string, credits: Credits | null = null) {
    this.#writer = writer
    this.#envelope = envelope
    this.#credits = credits
    this.#format = writer.formatFor(path)
    this.#shared = writer.encodings.of(this.#format)
  }

  /** The result of a query or mutation. @throws when it cannot be encoded. */
  data(data: unknown): void {
    this.#untracked(data)
  }

  started(position: string | null): void {
    if (position === null && !this.#credits) return this.#control('started')
    this.#result({
      type: 'started',
      ...(position !== null && { position }),
      ...(this.#credits && { credit: true }),
    })
  }

  next(value: unknown): void {
    const bytes = isTrackedEnvelope(value) ? this.#tracked(value) : this.#untracked(value)
    this.#credits?.spend(1, bytes)
  }

  push(batch: Batch<unknown>): void {
    const { outlet } = this.#writer
    if (this.#shared) {
      const head = this.#headOf(this.#shared)
      const { packed, bytes } = this.#shared.toMessages(head, batch, outlet.packing)
      outlet.sendPacked(packed)
      this.#credits?.spend(batch.envelopes.length, bytes)
    } else {
      for (const envelope of batch.envelopes) this.next(envelope)
    }
  }

  /** Waits for the connection, and not for credit: one whose credit is spent wants to know. */
  async lag(latest: () => Lag | null): Promise<void> {
    await this.#writer.outlet.room
    const lag = latest()
    if (lag) this.#result({ type: 'lag', ...lag })
  }

  error(shape: TRPCErrorShape): void {
    this.#credits?.close()
    this.#writer.error(this.#envelope, shape)
  }

  returned(): void {
    this.stopped()
  }

  stopped(): void {
    this.#credits?.close()
    this.#control('stopped')
  }

  grant(events: number): number {
    return this.#credits?.grant(events) ?? 0
  }

  /** For two reasons it may have to wait: the connection is full, or the credit is spent. */
  get room(): Promise<void> | null {
    const { room } = this.#writer.outlet
    const credit = this.#credits?.room ?? null
    return room && credit ? Promise.all([room, credit]).then(() => {}) : (room ?? credit)
  }

  get outgoing(): Outlet | null {
    const { outlet } = this.#writer
    return outlet.room ? outlet : null
  }

  get capacity(): number {
    return this.#credits?.left ?? Infinity
  }

  #tracked(envelope: TrackedEnvelope<unknown>): number {
    if (this.#shared) {
      return this.#writer.outlet.sendMessage(this.#shared.toMessage(this.#headOf(this.#shared), envelope))
    }
    const [id, data] = envelope
    return this.#result({ type: 'data', data: { id, data }, id })
  }

  #untracked(data: unknown): number {
    if (!this.#shared) return this.#result({ type: 'data', data })
    return this.#writer.outlet.sendMessage(this.#shared.toUntracked(this.#headOf(this.#shared), data))
  }

  #control(type: ControlType): void {
    if (!this.#shared) this.#result({ type })
    // The head is not kept: of most subscriptions nothing else is said for long.
    else this.#writer.outlet.send(this.#shared.toControl(this.#shared.headOf(this.#envelope), type))
  }

  #headOf(messages: EncodedMessages): Head {
    return (this.#head ??= messages.headOf(this.#envelope))
  }

  #result(result: ServerResult): number {
    return this.#writer.send({ ...this.#envelope, result }, this.#format)
  }
}
