/** What this process has appended to a log and its tail reader has not reached, by offset: it need not be read again. */
import type { Epoch, Offset } from '../../shared/protocol/cursor.ts'
import type { Page, StoredRecord } from '../stores/store.ts'

/** Events of one process in one turn; what is beyond is read from the store. */
const maxOffered = 4096

export class Offered {
  readonly #records = new Map<Offset, { readonly epoch: Epoch; readonly record: StoredRecord }>()

  put(epoch: Epoch, record: StoredRecord): void {
    if (this.#records.size < maxOffered) this.#records.set(record.offset, { epoch, record })
  }

  /** Those of one life of the log that follow an offset, as they would be read; null if there are none. */
  after(offset: Offset): Page | null {
    const records: StoredRecord[] = []
    let next = this.#records.get(offset + 1)
    const epoch = next?.epoch
    for (; next && next.epoch === epoch; next = this.#records.get(next.record.offset + 1)) {
      records.push(next.record)
    }
    if (epoch === undefined) return null
    return { state: { epoch, first: offset + 1, last: offset + records.length }, records }
  }

  /** Forgets what is of no use to a tail reader that has come so far. */
  forget(epoch: Epoch, head: Offset): void {
    for (const [offset, { epoch: own }] of this.#records) {
      if (offset <= head || own !== epoch) this.#records.delete(offset)
    }
  }
}
