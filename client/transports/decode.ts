/**
 * A server's bytes → what was received. Whatever is not tRPC's protocol is refused with `MESSAGE_INVALID`; a value
 * that the transformer cannot read is an error of the one request it answers.
 */
import { TRPCClientError } from '@trpc/client'
import { untransformed, type Codec } from '../../shared/codec/codec.ts'
import { isSluiceError, SluiceError, quote, toError } from '../../shared/errors.ts'
import type { Lag } from '../../shared/items.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { ClientError, Received } from './transport.ts'

/** The half of a transformer that reads what the server sends. */
export interface Deserializer {
  deserialize(value: unknown): unknown
}

/**
 * One text frame of a WebSocket: a message, or an array of them.
 *
 * @throws SluiceError `MESSAGE_INVALID` when it is neither.
 */
export function decodeFrame(text: string, transformer: Deserializer): Received[] {
  const value = parseJson(text)
  if (!Array.isArray(value)) return [decodeMessage(value, transformer)]
  return value.map(one => decodeMessage(one, transformer))
}

/**
 * One binary frame of a WebSocket.
 *
 * @throws SluiceError `MESSAGE_INVALID` when it holds anything but messages, or `INPUT_TOO_DEEP`.
 */
export function decodeBinaryFrame(bytes: Uint8Array, codec: Codec): Received[] {
  return codec.decode(bytes).map(message => decodeMessage(message, untransformed))
}

/** An event of `text/event-stream`, as eventsource-parser gives it. */
export interface StreamEvent {
  readonly event?: string | undefined
  readonly id?: string | undefined
  readonly data: string
}

/**
 * A data event of a subscription's own stream.
 *
 * @throws SluiceError `MESSAGE_INVALID` when its data is not JSON.
 */
export function decodeData(event: StreamEvent, id: RequestId, transformer: Deserializer): Received {
  // What JSON.stringify makes of a value that is none; over WebSocket the member is left out.
  const json = event.data === 'undefined' ? undefined : parseJson(event.data)
  // An empty id is how a stream says "no id"; tRPC's own client reads it so too.
  const eventId = event.id || undefined
  return reading(id, () => {
    const value = transformer.deserialize(json)
    // Over WebSocket the server wraps a tracked event itself; here the id is outside of the payload.
    return { type: 'data', id, eventId, data: eventId === undefined ? value : { id: eventId, data: value } }
  })
}

/**
 * The error event of a subscription's own stream, or the body of a response that is an error.
 *
 * @throws SluiceError `MESSAGE_INVALID` when it is not tRPC's shape of an error.
 */
export function decodeError(text: string, id: RequestId, transformer: Deserializer): Received {
  const shape = parseJson(text)
  return reading(id, () => ({ type: 'error', id, error: toClientError(shape, transformer) }))
}

/** The `connected` event: options of the server for this stream. */
export interface ConnectedOptions {
  readonly position: string | undefined
  /** How often the server pings while it has nothing to say, in milliseconds; undefined where it promises no pings. */
  readonly pingMs: number | undefined
  /** tRPC's own: silence after which the application wants the stream opened anew, in milliseconds. */
  readonly reconnectAfterInactivityMs: number | undefined
}

/** @throws SluiceError `MESSAGE_INVALID` when it is not an object. */
export function decodeConnected(text: string): ConnectedOptions {
  const options = text === '' ? {} : parseJson(text)
  if (!isRecord(options)) throw invalid(text)
  const { position, pingMs, reconnectAfterInactivityMs } = options
  return {
    position: typeof position === 'string' ? position : undefined,
    pingMs: toDuration(pingMs),
    reconnectAfterInactivityMs: toDuration(reconnectAfterInactivityMs),
  }
}

/** The event by which a stream tells how far behind it is. @throws SluiceError `MESSAGE_INVALID` when it does not. */
export function decodeLag(text: string, id: RequestId): Received {
  return { type: 'lag', id, lag: toLag(parseJson(text)) }
}

/** @throws SluiceError `MESSAGE_INVALID` when the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw invalid(text, cause)
  }
}

function toDuration(value: unknown): number | undefined {
  return typeof value === 'number' && value > 0 ? value : undefined
}

function decodeMessage(message: unknown, transformer: Deserializer): Received {
  if (!isRecord(message)) throw invalid(toText(message))
  if (message['method'] === 'reconnect') {
    const withinMs = isRecord(message['params']) ? toDuration(message['params']['withinMs']) : undefined
    return { type: 'reconnect', ...(withinMs !== undefined && { withinMs }) }
  }
  if (message['method'] === 'renew') return { type: 'renew' }
  const { id, result, error } = message
  if (error !== undefined) {
    if (isRequestId(id)) {
      return reading(id, () => ({ type: 'error', id, error: toClientError(error, transformer) }))
    }
    return { type: 'complaint', error: toClientError(error, transformer) }
  }
  if (!isRequestId(id) || !isRecord(result)) throw invalid(toText(message))
  switch (result['type']) {
    case 'started': {
      const { position, credit } = result
      return {
        type: 'started',
        id,
        position: typeof position === 'string' ? position : undefined,
        ...(credit === true && { credit }),
      }
    }
    case 'lag':
      return { type: 'lag', id, lag: toLag(result) }
    case 'stopped':
      return { type: 'stopped', id }
    case 'data':
    case undefined: {
      const { id: eventId, data } = result
      if (eventId !== undefined && typeof eventId !== 'string') throw invalid(toText(message))
      return reading(id, () => ({ type: 'data', id, eventId, data: transformer.deserialize(data) }))
    }
    default:
      throw invalid(toText(message))
  }
}

function toLag(value: unknown): Lag {
  if (!isRecord(value)) throw invalid(toText(value))
  const { events, ms } = value
  if (typeof events !== 'number' || typeof ms !== 'number') throw invalid(toText(value))
  return { events, ms }
}

function toClientError(shape: unknown, transformer: Deserializer): ClientError {
  const error = transformer.deserialize(shape)
  if (!isRecord(error) || typeof error['code'] !== 'number' || typeof error['message'] !== 'string') {
    throw invalid(toText(shape))
  }
  return TRPCClientError.from({ error })
}

/** A transformer that fails on one answer must not cost the neighbours their connection. */
function reading(id: RequestId, read: () => Received): Received {
  try {
    return read()
  } catch (thrown) {
    if (isSluiceError(thrown)) throw thrown // not the transformer's, but our own verdict on the message
    return { type: 'error', id, error: TRPCClientError.from(toError(thrown)) }
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isRequestId(value: unknown): value is RequestId {
  return typeof value === 'number' || typeof value === 'string'
}

/** A codec may bring what JSON refuses. */
function toText(message: unknown): string {
  try {
    return JSON.stringify(message, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))
  } catch {
    return 'what is nested too deep to be shown' // what JSON.parse can read, JSON.stringify may not have the stack for
  }
}

function invalid(text: string, cause?: unknown): SluiceError {
  return new SluiceError(
    'MESSAGE_INVALID',
    `The server sent ${quote(text)}, which is no message of tRPC's.`,
    {
      cause,
    },
  )
}
