import { SluiceError, quote } from '../../../shared/errors.ts'
import type { Offset } from '../../../shared/protocol/cursor.ts'
import { defaultDedupWindowMs, type AppendOptions, type Appended, type NewRecord } from '../store.ts'
import { decodeRow, dueKey, encodeRecord, encodeRow, idempotencyKey, never, type KeyRow } from './keys.ts'
import type { WriteTransaction } from './transaction.ts'

/** A record ready to be written: the payload has been copied. */
export interface EncodedRecord {
  readonly at: number
  readonly key: string | undefined
  readonly value: Buffer
}

export function encode(record: NewRecord): EncodedRecord {
  return { at: record.at, key: record.idempotencyKey, value: encodeRecord(record.at, record.payload) }
}

/** @throws SluiceError `CONFLICT`, and then nothing was written. */
export function append(
  transaction: WriteTransaction,
  log: string,
  records: readonly EncodedRecord[],
  options: AppendOptions,
): Appended {
  const known = transaction.find(log)
  const last = known?.last ?? 0
  const { expectLast = last } = options
  if (expectLast !== last && !records.every(({ key }) => known && firstOffset(transaction, known.id, key))) {
    throw new SluiceError(
      'CONFLICT',
      `Log ${quote(log)} ends at offset ${last}, not at ${expectLast} as expected. Nothing was appended.`,
      { data: { last, expected: expectLast } },
    )
  }

  const row = known ?? transaction.create(log)
  const until = Math.min(Math.ceil(transaction.now + (options.dedupWindowMs ?? defaultDedupWindowMs)), never)
  const offsets: Offset[] = []
  const duplicates: boolean[] = []
  for (const { at, key, value } of records) {
    const first = firstOffset(transaction, row.id, key)
    const offset = first ?? transaction.append(log, row, at, value)
    if (key !== undefined && first === undefined) remember(transaction, row.id, key, { offset, until })
    offsets.push(offset)
    duplicates.push(first !== undefined)
  }
  if (options.retain) transaction.retain(log, row, options.retain)
  return { epoch: row.epoch, offsets, duplicates }
}

/** Where a record with this idempotency key already is, if it is remembered. */
function firstOffset({ db, now }: WriteTransaction, id: number, key: string | undefined): Offset | undefined {
  if (key === undefined) return undefined
  const known = decodeRow<KeyRow>(db.get(idempotencyKey(id, key)))
  return known && known.until > now ? known.offset : undefined
}

function remember({ db }: WriteTransaction, id: number, key: string, row: KeyRow): void {
  void db.put(idempotencyKey(id, key), encodeRow(row))
  void db.put(dueKey({ at: row.until, what: 'key', id, key }), Buffer.alloc(0))
}
