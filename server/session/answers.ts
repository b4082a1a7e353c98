/** Answers as tRPC's messages: one writer per connection, one `Answers` per request on it. */
import { isTrackedEnvelope, transformTRPCResponse } from '@trpc/server'
import type { Encoder } from '@trpc/server/adapters/ws'
import type { TRPCErrorShape, TRPCResponseMessage } from '@trpc/server/rpc'
import type { RequestId, ServerResult } from '../../shared/protocol/messages.ts'
import { unpresentable, type ErrorDesk, type Origin } from '../procedures/present-error.ts'
import type { Replies } from '../procedures/replies.ts'
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
  readonly #desk: ErrorDesk
  readonly #origin: () => Origin

  constructor(outlet: Outlet, encoder: Encoder, desk: ErrorDesk, origin: () => Origin) {
    this.outlet = outlet
    this.#encoder = encoder
    this.#desk = desk
    this.#origin = origin
  }

  /** @throws whatever the transformer or the encoder throws; nothing was sent then. */
  result({ id, jsonrpc }: Envelope, result: ServerResult): void {
    // ServerResult is tRPC's own union and one extension, which the transformer leaves alone.
    this.#send({ id, jsonrpc, result } as TRPCResponseMessage)
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

  constructor(writer: MessageWriter, envelope: Envelope) {
    this.#writer = writer
    this.#envelope = envelope
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
      const [id, data] = value
      this.#writer.result(this.#envelope, { type: 'data', data: { id, data }, id })
    } else {
      this.data(value)
    }
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
