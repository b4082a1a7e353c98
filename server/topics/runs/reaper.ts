import { randomUUID } from 'node:crypto'
import type { Clock } from '../../../shared/clock.ts'
import { isSluiceError } from '../../../shared/errors.ts'
import type { Store } from '../../stores/store.ts'
import { packRecord, readRunState } from './record.ts'
import type { RunState } from './record.ts'

/**
 * Ends a run whose owner is gone: whoever can take its lease knows that nobody holds it, and writes `interrupted`.
 * Any node may do so at any time; the compare-and-append lets exactly one succeed, and none over a living owner.
 *
 * @returns how the run stands afterwards; `null` when there is none.
 */
export async function reapIfDead(
  store: Store,
  log: string,
  clock: Clock,
  leaseMs: number,
): Promise<RunState | null> {
  const state = await readRunState(store, log)
  if (!state || state.end) return state
  const reaper = randomUUID()
  if (!(await store.acquireLease(log, reaper, leaseMs))) return state
  try {
    // Between our look and the lease, the owner may have finished.
    const now = await readRunState(store, log)
    if (!now || now.end) return now
    const end = { at: clock.now(), outcome: { status: 'interrupted' } } as const
    await store.append(log, [{ payload: packRecord(['end', end.outcome]), at: end.at }], {
      expectLast: now.last,
    })
    return { ...now, last: now.last + 1, end }
  } catch (error) {
    if (isSluiceError(error) && error.code === 'CONFLICT') return await readRunState(store, log)
    throw error
  } finally {
    await store.releaseLease(log, reaper)
  }
}
