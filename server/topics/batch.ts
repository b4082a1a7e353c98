import type { Offset } from '../../shared/protocol/cursor.ts'
import type { StoredRecord } from '../stores/store.ts'
import type { Envelope } from './envelope.ts'

/**
 * Consecutive items of one log that go out together. One object for all subscribers who are sent them, so that what
 * it looks like on the wire can be remembered by it (procedures/encodings.ts).
 */
export interface Batch<Item> {
  /** In order; records that are not shown are left out. */
  readonly envelopes: readonly Envelope<Item>[]
  /** Offset of the first record. */
  readonly from: Offset
  /** Offset of the last record. */
  readonly to: Offset
}

/** The bounds of one batch: what is encoded at once, and handed to an outlet at once. Bytes as stored. */
export const batchBounds = { maxItems: 64, maxBytes: 64 * 1024 } as const

/** Records in their order, cut at these bounds. */
export function* inBatches(records: readonly StoredRecord[]): Iterable<readonly StoredRecord[]> {
  const { maxItems, maxBytes } = batchBounds
  let from = 0
  let bytes = 0
  for (const [i, record] of records.entries()) {
    bytes += record.payload.byteLength
    if (i + 1 - from < maxItems && bytes < maxBytes) continue
    yield records.slice(from, i + 1)
    from = i + 1
    bytes = 0
  }
  if (from < records.length) yield records.slice(from)
}
