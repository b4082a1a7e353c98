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

export function toLag(value: unknown): Lag {
  if (!isRecord(value)) throw invalid(toText(value))
  const { events, ms } = value
  if (typeof events !== 'number' || typeof ms !== 'number') throw invalid(toText(value))
  return { events, ms }
}

export function toClientError(shape: unknown, transformer: Deserializer): ClientError {
  const error = transformer.deserialize(shape)
  if (!isRecord(error) || typeof error['code'] !== 'number' || typeof error['message'] !== 'string') {
    throw invalid(toText(shape))
  }
  return TRPCClientError.from({ error })
}

/** A transformer that fails on one answer must not cost the neighbours their connection. */
export function reading(id: RequestId, read: () => Received): Received {
  try {
    return read()
  } catch (thrown) {
    if (isSluiceError(thrown)) throw thrown // not the transformer's, but our own verdict on the message
    return { type: 'error', id, error: TRPCClientError.from(toError(thrown)) }
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
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

export function invalid(text: string, cause?: unknown): SluiceError {
  return new SluiceError(
    'MESSAGE_INVALID',
    `The server sent ${quote(text)}, which is no message of tRPC's.`,
    {
      cause,
    },
  )
}
