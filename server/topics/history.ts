import { SluiceError } from '../../shared/errors.ts'
import { formatCursor } from '../../shared/protocol/cursor.ts'
import type { Cursor } from '../../shared/protocol/cursor.ts'
import type { Log } from './log.ts'
import { unborn } from './log.ts'

export interface HistoryOptions {
  /** Only events before this cursor: the `older` of the page before. Left out: the newest page. */
  readonly before?: string | undefined
  /** Events per page, 1 to 1,000. A page may hold fewer: it is bounded in bytes too. */
  readonly limit: number
}

export interface HistoryPage<Event> {
  /** Oldest first. */
  readonly events: readonly HistoryEvent<Event>[]
  /** Pass it as `before` for the next older page; `null` when nothing older is retained. */
  readonly older: Cursor | null
  /** Subscribe `after` it to go on exactly where this page ends. */
  readonly end: Cursor
}

export interface HistoryEvent<Event> {
  readonly id: Cursor
  /** When it was published, in milliseconds since the epoch. */
  readonly at: number
  readonly event: Event
}

const maxLimit = 1000
const maxBytes = 4 << 20

/** @throws SluiceError `CURSOR_INVALID`, or `GAP` when the cursor is of an earlier life of the log. */
export async function readHistory<Event>(
  log: Log,
  decode: (payload: Uint8Array) => Event,
  { before, limit }: HistoryOptions,
): Promise<HistoryPage<Event>> {
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > maxLimit) {
    throw new RangeError(`A page of history has 1 to ${maxLimit} events, not ${limit}.`)
  }
  const place = before === undefined ? null : log.placeOf(before)
  const { state, records } = await log.store.readBefore(log.name, place?.offset ?? Infinity, {
    maxEvents: limit,
    maxBytes,
  })
  const epoch = state?.epoch ?? unborn
  if (place && place.epoch !== epoch && place.epoch !== unborn) {
    throw new SluiceError(
      'GAP',
      `The cursor is of an earlier life of ${log}, which was wiped since. Read without it.`,
      {
        data: { reason: 'reborn' },
      },
    )
  }
  const cursorAt = (offset: number) => formatCursor({ tag: log.tag, epoch, offset })
  const oldest = records[0]
  const newest = records.at(-1)
  return {
    events: records.map(({ offset, at, payload }) => ({ id: cursorAt(offset), at, event: decode(payload) })),
    older: oldest && state && oldest.offset > state.first ? cursorAt(oldest.offset) : null,
    end: cursorAt(newest?.offset ?? (place ? Math.max(0, place.offset - 1) : (state?.last ?? 0))),
  }
}
