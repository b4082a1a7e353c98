/** What the log of a run holds: one start, events, one end. */
import type { RunOutcome } from '../../../shared/items.ts'
import type { Offset } from '../../../shared/protocol/cursor.ts'
import type { Store, StoredRecord } from '../../stores/store.ts'
import { packPayload, unpackPayload } from '../payload.ts'

export type RunRecord =
  | readonly ['start', input: unknown]
  | readonly ['event', event: unknown]
  | readonly ['end', outcome: RunOutcome]

export function packRecord(record: RunRecord): Uint8Array {
  return packPayload(record)
}

export function unpackRecord(payload: Uint8Array): RunRecord {
  // Written by packRecord() above; nobody else appends to the log of a run.
  return unpackPayload(payload) as RunRecord
}

/** A run as its log tells it. */
export interface RunState {
  readonly last: Offset
  readonly startedAt: number
  /** When and how it ended; `null` while it has not. */
  readonly end: { readonly at: number; readonly outcome: RunOutcome } | null
}

const oneRecord = { maxEvents: 1, maxBytes: 1 }

/** Reads how a run stands; `null` when there is none of that name. */
export async function readRunState(store: Store, log: string): Promise<RunState | null> {
  const [head, tail] = await Promise.all([
    store.read(log, 0, oneRecord),
    store.readBefore(log, Infinity, oneRecord),
  ])
  const first = head.records[0]
  const last = tail.records.at(-1)
  if (!first || !last) return null
  return { last: last.offset, startedAt: first.at, end: endOf(last) }
}

function endOf(record: StoredRecord): RunState['end'] {
  const [kind, outcome] = unpackRecord(record.payload)
  return kind === 'end' ? { at: record.at, outcome } : null
}
