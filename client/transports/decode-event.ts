/** The events of a stream → what was received: the counterpart of decode.ts for what is said over SSE only. */
import type { RequestId } from '../../shared/protocol/messages.ts'
import {
  invalid,
  isRecord,
  parseJson,
  reading,
  toClientError,
  toDuration,
  toText,
  type Deserializer,
} from './decode.ts'
import type { StreamEvent } from './event-parser.ts'
import type { Received } from './transport.ts'

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
    const data = eventId === undefined ? value : { id: eventId, data: value }
    return { type: 'data', id, eventId, data, size: event.data.length }
  })
}

/**
 * The error event of a subscription's own stream, or the body of a response that is an error.
 *
 * @throws SluiceError `MESSAGE_INVALID` when it is not tRPC's shape of an error.
 */
export function decodeError(text: string, id: RequestId, transformer: Deserializer): Received {
  const shape = parseJson(text)
  return reading(id, () => ({ type: 'error', id, error: toClientError(shape, transformer, text) }))
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
    position: toText(position),
    pingMs: toDuration(pingMs),
    reconnectAfterInactivityMs: toDuration(reconnectAfterInactivityMs),
  }
}

/** The event by which a stream tells how far behind it is. @throws SluiceError `MESSAGE_INVALID` when it is not JSON. */
export function decodeLag(text: string, id: RequestId): Received {
  return { type: 'lag', id, lag: parseJson(text) }
}
