import { useConnection, type ConnectionInfo } from 'trpc-sluice/react'

/** Says at each moment how the page is connected, and what it is about to do when it is not. */
export function ConnectionBadge() {
  const connection = useConnection()
  const { tone, text, title } = describe(connection)
  const waiting = connection.state === 'waiting'
  return (
    <div className="badge" data-tone={tone} data-state={connection.state} title={title}>
      <span className="dot" aria-hidden="true" />
      {/* The seconds would be read out one by one: what is announced changes with the state only. */}
      <span aria-hidden="true">{text}</span>
      <span role="status" className="visually-hidden">
        {waiting ? 'Connection lost. Reconnecting.' : text}
      </span>
      {waiting && (
        <button type="button" onClick={connection.wake}>
          Now
        </button>
      )}
    </div>
  )
}

const transportNames = { websocket: 'WebSocket', stream: 'Stream', sse: 'SSE', tab: 'another tab' } as const

interface Description {
  readonly tone: 'idle' | 'good' | 'warn' | 'bad'
  readonly text: string
  readonly title: string
}

function describe({ state, transport, attempt, why, retryInMs }: ConnectionInfo): Description {
  switch (state) {
    case 'idle':
      return { tone: 'idle', text: 'Idle', title: 'Nothing on this page needs a connection.' }
    case 'opening':
      return attempt === 0
        ? { tone: 'idle', text: 'Connecting…', title: 'The first attempt is under way.' }
        : { tone: 'warn', text: 'Reconnecting…', title: `Attempt ${attempt + 1} is under way.` }
    case 'ready': {
      const name = transport === null ? 'connected' : transportNames[transport]
      return { tone: 'good', text: `Live · ${name}`, title: 'What happens arrives by itself.' }
    }
    case 'waiting': {
      const seconds = Math.ceil((retryInMs ?? 0) / 1000)
      const text = seconds > 0 ? `Reconnecting in ${seconds} s` : 'Reconnecting…'
      return { tone: 'warn', text, title: why?.message ?? '' }
    }
    case 'closed':
      return { tone: 'bad', text: 'Disconnected', title: why?.message ?? '' }
    default:
      return state satisfies never
  }
}
