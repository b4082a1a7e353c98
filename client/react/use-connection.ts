import { useEffect, useState, useSyncExternalStore } from 'react'
import type { ConnectionState, Reason, Via } from '../connection/machine.ts'
import { useConnectionView } from './provider.tsx'

/** The connection as a component shows it. */
export interface ConnectionInfo {
  /** `idle`: nothing needs one. `opening`, `ready`. `waiting`: for the next attempt. `closed`: for good. */
  readonly state: ConnectionState['at']
  /** When it came to be so, in milliseconds since the epoch. */
  readonly since: number
  /** What it runs over, or is about to; null where there is nothing. */
  readonly transport: Via | null
  /** Failures in a row. */
  readonly attempt: number
  /** What happened, while it waits or is closed; its `message` is fit for a person. */
  readonly why: Reason | null
  /** When the next attempt begins, in milliseconds since the epoch, while it waits. */
  readonly retryAt: number | null
  /** How long until then, in milliseconds; the component renders every second while it waits. */
  readonly retryInMs: number | null
  /** Tries again at once, or makes sure that the server still answers. */
  readonly wake: () => void
}

const tickMs = 1_000

/** On a server there is no connection, and the first render in the browser has to look the same. */
const onServer: ConnectionState = { at: 'idle', since: 0 }

/**
 * The state of the link's connection.
 *
 * @throws Error outside of a `SluiceProvider`.
 * @example
 * ```tsx
 * const { state, retryInMs, wake } = useConnection()
 * if (state === 'waiting') return <button onClick={wake}>Again in {Math.ceil((retryInMs ?? 0) / 1000)} s</button>
 * ```
 */
export function useConnection(): ConnectionInfo {
  const connection = useConnectionView()
  const state = useSyncExternalStore(connection.subscribe, connection.get, () => onServer)
  const retryAt = state.at === 'waiting' ? state.until : null
  const now = useTicking(retryAt !== null)
  return {
    state: state.at,
    since: state.since,
    transport: 'transport' in state ? state.transport : null,
    attempt: 'attempt' in state ? state.attempt : 0,
    why: 'why' in state ? state.why : null,
    retryAt,
    retryInMs: retryAt === null ? null : Math.max(0, retryAt - now),
    wake: connection.wake,
  }
}

/** The time, looked at when ticking begins and every second from then on. */
function useTicking(ticking: boolean): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    if (!ticking) return
    const look = () => setNow(Date.now())
    look()
    const timer = setInterval(look, tickMs)
    return () => clearInterval(timer)
  }, [ticking])
  return now
}
