/**
 * The contract of a store (server/stores/store.ts) as a suite of vitest tests. Whoever writes a store runs it over
 * theirs, and gets the same promises checked as ours: the names of the tests are the specification.
 */
import { describe } from 'vitest'
import { describeAppends } from './store-contract/appends.ts'
import { describeEndings } from './store-contract/endings.ts'
import { describeIdempotency } from './store-contract/idempotency.ts'
import { describeLeases } from './store-contract/leases.ts'
import { describeModel } from './store-contract/model.ts'
import { describeReads } from './store-contract/reads.ts'
import { describeRetention } from './store-contract/retention.ts'
import type { StoreContractOptions } from './store-contract/subject.ts'
import { describeWatching } from './store-contract/watching.ts'

export type { StoreContractOptions } from './store-contract/subject.ts'

/**
 * Registers the tests. Call it at the top level of a test file.
 *
 * @example
 * ```ts
 * storeContract({
 *   name: 'memory',
 *   open() {
 *     const clock = createFakeClock({ now: 1_700_000_000_000 })
 *     const store = memoryStore({ clock })
 *     return { store, now: clock.now, advance: clock.advance, again: () => store, close: () => store.close() }
 *   },
 * })
 * ```
 */
export function storeContract(options: StoreContractOptions): void {
  describe(`the ${options.name} store`, () => {
    describeAppends(options)
    describeReads(options)
    describeIdempotency(options)
    describeRetention(options)
    describeEndings(options)
    describeWatching(options)
    describeLeases(options)
    describeModel(options)
  })
}
