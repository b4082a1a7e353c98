import { useSyncExternalStore } from 'react'
import type { OutboxEntry } from '../outbox/item.ts'
import type { Outbox } from '../outbox/outbox.ts'

/** What has not been sent, or not been answered. */
export interface OutboxView {
  /** Oldest first. */
  readonly entries: readonly OutboxEntry[]
  /** Tries what waits at once; with an id, also sends that one again though it has failed. */
  readonly retry: (id?: string) => void
  /** Takes one back; what is being sent may happen all the same. */
  readonly cancel: (id: string) => void
}

const nothing: readonly OutboxEntry[] = []

/**
 * The mutations that wait in an outbox.
 *
 * @example
 * ```tsx
 * const { entries, cancel } = useOutbox(outbox)
 * return entries.map(({ id, path }) => <li key={id}>{path} <button onClick={() => cancel(id)}>Take back</button></li>)
 * ```
 */
export function useOutbox(outbox: Outbox): OutboxView {
  const entries = useSyncExternalStore(outbox.subscribe, outbox.get, () => nothing)
  return { entries, retry: outbox.retry, cancel: outbox.cancel }
}
