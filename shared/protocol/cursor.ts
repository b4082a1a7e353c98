/**
 * Cursors: where in a log somebody is. To a client a cursor is an opaque string; inside it names the log, the
 * log's epoch (random, made when the log is born) and an offset that grows by one with each event:
 *
 *     <tag of topic and key> . <epoch> . <offset>        e.g.  1q8x2k.m0t3fz9ab2.40
 *
 * The tag tells a cursor of another log (bad input) from one of this log in an earlier life (a gap).
 */
import { SluiceError, quote } from '../errors.ts'

declare const brand: unique symbol

/** An opaque place in a log, as clients see it. Made only by `formatCursor`. */
export type Cursor = string & { readonly [brand]: 'cursor' }

/** Which life of a log: a log that was wiped and born again has another epoch. */
export type Epoch = string & { readonly [brand]: 'epoch' }

/** The n-th event of a log, counted from 1; 0 is the place before the first. */
export type Offset = number

/** The short name of a log within its cursors. */
export type LogTag = string & { readonly [brand]: 'tag' }

export interface Place {
  readonly tag: LogTag
  readonly epoch: Epoch
  readonly offset: Offset
}

const pattern = /^([0-9a-z]{1,13})\.([0-9a-z]{4,32})\.(0|[1-9][0-9]{0,15})$/

export function formatCursor(place: Place): Cursor {
  return `${place.tag}.${place.epoch}.${place.offset}` as Cursor
}

/**
 * Reads a cursor from outside.
 *
 * @throws SluiceError `CURSOR_INVALID` with `data.reason` `malformed` when it is none.
 */
export function parseCursor(input: unknown): Place {
  const match = typeof input === 'string' ? pattern.exec(input) : null
  const offset = Number(match?.[3])
  if (!match || !Number.isSafeInteger(offset)) {
    throw new SluiceError(
      'CURSOR_INVALID',
      `${quote(input)} is not a cursor. Pass the id of a received event unchanged, or leave the cursor out to start with new events.`,
      { data: { reason: 'malformed' } },
    )
  }
  return { tag: match[1] as LogTag, epoch: match[2] as Epoch, offset }
}

/** A random epoch for a newborn log. */
export function createEpoch(): Epoch {
  const bytes = crypto.getRandomValues(new Uint8Array(8))
  return Array.from(bytes, byte => byte.toString(36).padStart(2, '0')).join('') as Epoch
}

/**
 * The tag of a log's name: 52 bits of a 64-bit FNV-1a hash. It guards against mistakes, not against malice: what a
 * caller may read is decided by the procedure, never by the cursor.
 */
export function tagOfLog(log: string): LogTag {
  let hash = 0xcbf29ce484222325n
  for (const byte of new TextEncoder().encode(log)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  }
  return (hash >> 12n).toString(36) as LogTag
}
