/**
 * Events as `text/event-stream`, byte for byte as tRPC 11 writes them (each event ends in three line feeds).
 * https://html.spec.whatwg.org/multipage/server-sent-events.html, and docs/wire.md, section 3.
 */
import { SluiceError, quote } from '../errors.ts'

/** The names of the control events. A control event never carries an id: it would move the client's cursor. */
export const sseEvent = {
  connected: 'connected',
  ping: 'ping',
  error: 'serialized-error',
  return: 'return',
  lag: 'lag',
} as const

export const sseHeaders = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
  Connection: 'keep-alive',
} as const

// oxlint-disable-next-line no-control-regex -- these are the very characters that end a line or void an id
const forbiddenInId = /[\r\n\0]/

/**
 * A data event.
 *
 * @param json the encoded payload: JSON text, hence without raw line ends.
 * @throws SluiceError `EVENT_ID_INVALID` when the id could forge another field or event.
 */
export function formatSseData(json: string | undefined, id?: string): string {
  if (id === undefined) return `data: ${json}\n\n\n`
  if (forbiddenInId.test(id)) {
    throw new SluiceError(
      'EVENT_ID_INVALID',
      `The event id ${quote(id)} has a line end or NUL, which would forge an event over SSE. Encode it before calling tracked().`,
    )
  }
  return `data: ${json}\nid: ${id}\n\n\n`
}

/** A control event. */
export function formatSseControl(event: (typeof sseEvent)[keyof typeof sseEvent], json: string): string {
  return `event: ${event}\ndata: ${json}\n\n\n`
}
