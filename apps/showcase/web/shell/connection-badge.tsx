import { useSyncExternalStore } from 'react'
import { useConnection } from 'trpc-sluice/react'
import { reconnectNow } from '../api.tsx'

type Connection = ReturnType<typeof useConnection>

/** Says at each moment how the page is connected, and what it is about to do when it is not. */
export function ConnectionBadge() {
  const connection = useConnection()
  const seconds = useCountdown(connection.at === 'waiting' ? connection.until : null)
  const { tone, text, title } = describe(connection, seconds)
  return (
    <div className="badge" data-tone={tone} data-at={connection.at} title={title}>
      <span className="dot" aria-hidden="true" />
      {/* The seconds would be read out one by one: what is announced changes with the state only. */}
      <span aria-hidden="true">{text}</span>
      <span role="status" className="visually-hidden">
        {connection.at === 'waiting' ? 'Connection lost. Reconnecting.' : text}
      </span>
      {connection.at === 'waiting' && (
        <button type="button" onClick={reconnectNow}>
          Now
        </button>
      )}
    </div>
  )
}

const transportNames = { websocket: 'WebSocket', sse: 'SSE' } as const

function describe(connection: Connection, seconds: number) {
  switch (connection.at) {
    case 'idle':
      return { tone: 'idle', text: 'Idle', title: 'Nothing on this page needs a connection.' }
    case 'opening':
      return connection.attempt === 0
        ? { tone: 'idle', text: 'Connecting…', title: 'The first attempt is under way.' }
        : { tone: 'warn', text: 'Reconnecting…', title: `Attempt ${connection.attempt + 1} is under way.` }
    case 'ready':
      return {
        tone: 'good',
        text: `Live · ${transportNames[connection.transport]}`,
        title: 'Connected: what happens arrives by itself.',
      }
    case 'waiting':
      return {
        tone: 'warn',
        text: seconds > 0 ? `Reconnecting in ${seconds} s` : 'Reconnecting…',
        title: connection.why.message,
      }
    case 'closed':
      return { tone: 'bad', text: 'Disconnected', title: connection.why.message }
    default:
      return connection satisfies never
  }
}

/** Whole seconds until a time; 0 when there is nothing to wait for. */
function useCountdown(until: number | null): number {
  return useSyncExternalStore(until === null ? never : everyQuarterSecond, () =>
    until === null ? 0 : Math.max(0, Math.ceil((until - Date.now()) / 1000)),
  )
}

const never = () => () => {}

function everyQuarterSecond(tick: () => void): () => void {
  const timer = setInterval(tick, 250)
  return () => clearInterval(timer)
}
