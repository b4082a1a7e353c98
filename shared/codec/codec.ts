/**
 * How messages look in binary frames. A client names the codec that it would like when it connects, and a server that
 * has it answers in binary from its first message on; by that frame the client knows, and does the same. Text frames
 * are JSON, and understood at all times: so nobody waits for an agreement but who says what JSON cannot carry
 * (first-word.ts), and without one nothing changes.
 *
 * The router's transformer is for JSON, which knows neither dates nor bytes. A codec knows them by itself, and what it
 * carries does not pass the transformer. Wire: docs/wire.md, section 4.
 */
import { SluiceError } from '../errors.ts'
import type { Credit } from '../protocol/credit.ts'
import type { RequestId } from '../protocol/messages.ts'
import type { holdForFirstWord } from './first-word.ts'

/** A binary encoding of messages. Made by `msgpackCodec()` or `protobufCodec()`; holds no state of a connection. */
export interface Codec {
  /** By which a client asks for it. */
  readonly name: string
  /**
   * How messages of a procedure are written. One object for all procedures whose messages are written alike, so that
   * what was written for one subscriber can be remembered by it.
   *
   * @param path undefined for a message of no procedure.
   */
  formatFor(path?: string): Format<Uint8Array>
  /** Several messages, each as its format has written it, as one frame. */
  join(messages: readonly Uint8Array[]): Uint8Array<ArrayBuffer>
  /**
   * The messages of one frame. What it allocates is bounded by a multiple of the frame's length, whatever the lengths
   * that are written in it.
   *
   * @throws SluiceError `MESSAGE_INVALID`, `INPUT_TOO_DEEP` or `BATCH_TOO_LONG`, and nothing else.
   */
  decode(frame: Uint8Array, bounds?: Bounds): unknown[]
  /** For clients: has what JSON cannot carry wait until it is known whether the server has the codec. */
  readonly hold: typeof holdForFirstWord
}

/** What a frame may hold. */
export interface Bounds {
  /** How deep an input or an event may be nested; never more than 500, which is the default. */
  readonly maxDepth?: number
  /** How many messages; default: any number. */
  readonly maxMessages?: number
}

/** What of a message repeats its request. */
export interface Envelope {
  readonly id: RequestId | null
  readonly jsonrpc?: '2.0'
}

/** A message, as in shared/protocol/messages.ts: `result` and `error` are those of a server. */
export interface Message extends Partial<Envelope> {
  readonly method?: string
  readonly params?: {
    readonly path?: string
    readonly input?: unknown
    readonly lastEventId?: string
    readonly again?: true
    readonly credit?: Credit
    readonly lag?: true
    readonly events?: number
    readonly withinMs?: number
  }
  readonly result?: {
    readonly type: string
    readonly data?: unknown
    readonly id?: string
    readonly position?: string
    readonly credit?: true
    readonly events?: number
    readonly ms?: number
  }
  readonly error?: unknown
}

export interface Format<Piece extends string | Uint8Array = string | Uint8Array> {
  /** @throws whatever the value makes an encoder throw. */
  encode(message: Message): Piece
  /** Null where a message cannot be put together from two pieces. */
  readonly split: Split<Piece> | null
}

/** What a server says of a subscription without anything more to it. */
export type ControlType = 'started' | 'stopped'

/**
 * The message of an event in two pieces: the head is the subscriber's own and made once, the tail is the event, and that
 * of all who get it.
 */
export interface Split<Piece extends string | Uint8Array = string | Uint8Array> {
  head(envelope: Envelope): Piece
  /** @throws as `encode` does. */
  tail(id: string, data: unknown): Piece
  /** Of an event without an id. @throws as `encode` does. */
  untrackedTail(data: unknown): Piece
  /** Of a message that says nothing but that, hence the same for all. */
  controlTail(type: ControlType): Piece
  join(head: Piece, tail: Piece): Piece
}

/** Decoders recurse, and a stack is finite. */
const maxDepthOfAny = 500

/** How deep is too deep. */
export function depthWithin({ maxDepth = maxDepthOfAny }: Bounds): number {
  return Math.min(maxDepth, maxDepthOfAny)
}

/** @throws SluiceError `BATCH_TOO_LONG` when there is no room for one more. */
export function checkRoom(messages: readonly unknown[], { maxMessages = Infinity }: Bounds): void {
  if (messages.length < maxMessages) return
  const message = `A frame of more than ${maxMessages} messages is longer than the limit.`
  throw new SluiceError('BATCH_TOO_LONG', message, { data: { limit: maxMessages } })
}

/** The one of that name. @throws TypeError for two of one name. */
export function codecsByName(codecs: readonly Codec[]): ReadonlyMap<string, Codec> {
  const byName = new Map(codecs.map(codec => [codec.name, codec]))
  if (byName.size === codecs.length) return byName
  throw new TypeError(`Two codecs have the same name: ${codecs.map(({ name }) => name).join(', ')}.`)
}

/** The transformer of what needs none. */
export const untransformed = {
  serialize: (value: unknown): unknown => value,
  deserialize: (value: unknown): unknown => value,
}

export function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}
