/**
 * A server's bytes → what was received. Whatever is not tRPC's protocol is refused with `MESSAGE_INVALID`; a value
 * that the transformer cannot read is an error of the one request it answers.
 */
import { TRPCClientError } from '@trpc/client'
import { untransformed, type Codec } from '../../shared/codec/codec.ts'
import { isSluiceError, SluiceError, quote, toError } from '../../shared/errors.ts'
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
  const parsed = parseJson(text)
  return decodeAll(Array.isArray(parsed) ? parsed : [parsed], transformer, text, text.length)
}

/**
 * One binary frame of a WebSocket.
 *
 * @throws SluiceError `MESSAGE_INVALID` when it holds anything but messages, or `INPUT_TOO_DEEP`.
 */
export function decodeBinaryFrame(bytes: Uint8Array, codec: Codec): Received[] {
  return decodeAll(codec.decode(bytes), untransformed, binaryFrame, bytes.length)
}

function decodeAll(
  messages: readonly unknown[],
  transformer: Deserializer,
  source: string,
  length: number,
): Received[] {
  return messages.map(message => decodeMessage(message, transformer, source, length / messages.length))
}

/** As it is quoted. */
export const binaryFrame = 'a binary frame'

/** @throws SluiceError `MESSAGE_INVALID` when the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw invalid(text, cause)
  }
}

export function toDuration(value: unknown): number | undefined {
  return typeof value === 'number' && value > 0 ? value : undefined
}

/** @param source what it was read from, to be quoted where it is no message. */
function decodeMessage(message: unknown, transformer: Deserializer, source: string, size: number): Received {
  if (!isRecord(message)) throw invalid(source)
  const { method, params, id, result, error } = message
  if (method === 'reconnect') {
    return { type: method, withinMs: isRecord(params) ? toDuration(params['withinMs']) : undefined }
  }
  if (method === 'renew') return { type: method }
  if (typeof id !== 'number' && typeof id !== 'string') {
    if (error === undefined) throw invalid(source)
    return reading(null, () => ({ type: 'complaint', error: toClientError(error, transformer, source) }))
  }
  if (error !== undefined) {
    return reading(id, () => ({ type: 'error', id, error: toClientError(error, transformer, source) }))
  }
  if (!isRecord(result)) throw invalid(source)
  const { type, position, credit, data } = result
  const eventId = toText(result['id'])
  if (type === 'stopped') return { type, id }
  if (type === 'lag') return { type, id, lag: result }
  if (type === 'started') {
    return { type, id, position: toText(position), credit: credit === true || undefined }
  }
  if ((type !== 'data' && type !== undefined) || eventId !== result['id']) throw invalid(source)
  return reading(id, () => ({ type: 'data', id, eventId, data: transformer.deserialize(data), size }))
}

export function toText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

export function toClientError(shape: unknown, transformer: Deserializer, source: string): ClientError {
  const error = transformer.deserialize(shape)
  if (!isRecord(error) || typeof error['code'] !== 'number' || typeof error['message'] !== 'string') {
    throw invalid(source)
  }
  return TRPCClientError.from({ error })
}

/**
 * A transformer that fails on one answer must not cost the neighbours their connection.
 *
 * @param id null for what answers no request.
 */
export function reading(id: RequestId | null, read: () => Received): Received {
  try {
    return read()
  } catch (thrown) {
    if (isSluiceError(thrown)) throw thrown // not the transformer's, but our own verdict on the message
    const error = TRPCClientError.from(toError(thrown))
    return id === null ? { type: 'complaint', error } : { type: 'error', id, error }
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** @param source what was read, of which the beginning is shown. */
export function invalid(source: string, cause?: unknown): SluiceError {
  const message = `The server sent ${quote(source)}, which is no message of tRPC's.`
  return new SluiceError('MESSAGE_INVALID', message, { cause })
}
