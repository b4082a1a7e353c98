import { SluiceError, quote } from '../../shared/errors.ts'
import { formatCursor, parseCursor, tagOfLog } from '../../shared/protocol/cursor.ts'
import type { Cursor, Epoch, LogTag, Offset } from '../../shared/protocol/cursor.ts'
import type { LogState, Store } from '../stores/store.ts'

/** A place in a log: in which life of it, and after which event. */
export interface LogPlace {
  /** `unborn` for the start of a log that had no event yet. */
  readonly epoch: Epoch
  readonly offset: Offset
}

/** Stands for the epoch of a log before its first event. No born log has it: real epochs are longer. */
export const unborn = '0000' as Epoch

/** One log in a store, and the cursors into it. */
export class Log {
  readonly name: string
  readonly tag: LogTag
  readonly #topic: string
  readonly #key: string

  constructor(
    readonly store: Store,
    topic: string,
    key: string,
  ) {
    checkKey(key)
    this.#topic = topic
    this.#key = key
    this.name = `${topic}/${key}`
    this.tag = tagOfLog(this.name)
  }

  cursorAt(place: LogPlace): Cursor {
    return formatCursor({ tag: this.tag, epoch: place.epoch, offset: place.offset })
  }

  /**
   * Reads a cursor that a client passed.
   *
   * @throws SluiceError `CURSOR_INVALID` when it is malformed or of another log.
   */
  placeOf(cursor: string): LogPlace {
    const place = parseCursor(cursor)
    if (place.tag !== this.tag) {
      throw new SluiceError(
        'CURSOR_INVALID',
        `Cursor ${quote(cursor)} does not belong to ${this}. Pass the id of an event received from it, or leave the cursor out to start with new events.`,
        { data: { reason: 'foreign' } },
      )
    }
    return { epoch: place.epoch, offset: place.offset }
  }

  /** The end of the log as described: what comes from now on lies after it. */
  endOf(state: LogState | null): LogPlace {
    return state ? { epoch: state.epoch, offset: state.last } : { epoch: unborn, offset: 0 }
  }

  /** For messages: `topic "room", key "general"`. */
  toString(): string {
    return `topic ${quote(this.#topic)}, key ${quote(this.#key)}`
  }
}

const maxKeyBytes = 256
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const controlCharacter = /[\u0000-\u001f\u007f]/

function checkKey(key: string): void {
  // A lone surrogate has no UTF-8 form: two such keys would share one log.
  const valid =
    key.length > 0 &&
    key.length <= maxKeyBytes &&
    !controlCharacter.test(key) &&
    !/\p{Surrogate}/u.test(key) &&
    new TextEncoder().encode(key).length <= maxKeyBytes
  if (!valid) {
    throw new SluiceError(
      'KEY_INVALID',
      `The key ${quote(key)} is not usable. A key has 1 to ${maxKeyBytes} bytes of UTF-8 and no control characters.`,
    )
  }
}

const topicName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** @throws RangeError for a name that could not be told from a key in a log's name. */
export function checkTopicName(name: string): void {
  if (!topicName.test(name)) {
    throw new RangeError(
      `A topic cannot be named ${quote(name)}: use 1 to 64 letters, digits, dots, dashes and underscores.`,
    )
  }
}
