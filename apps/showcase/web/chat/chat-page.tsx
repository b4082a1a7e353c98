import { useMemo } from 'react'
import { Composer } from '../composer.tsx'
import { useName } from '../identity.ts'
import { ScrollLog } from '../scroll-log.tsx'
import { PageHead } from '../shell/page-head.tsx'
import { MessageList, type PendingMessage, type ShownMessage } from './message-list.tsx'
import { useOutgoing, useSend, type Outgoing } from './use-outgoing.ts'
import { useRoom } from './use-room.ts'

export function ChatPage({ room }: { readonly room: string }) {
  const author = useName()
  const { messages, loading, error, older } = useRoom(room)
  const outgoing = useOutgoing(room)
  const send = useSend()

  const shown = useMemo<readonly ShownMessage[]>(() => {
    const arrived = new Set(messages.map(({ id }) => id))
    const onTheWay = outgoing.filter(({ message }) => !arrived.has(message.id))
    return [...messages, ...onTheWay.map(toPending)]
  }, [messages, outgoing])

  return (
    <>
      <PageHead title={`# ${room}`}>
        Every message is in a log on disk. Cut the network, restart the server: none is lost, none comes
        twice.
      </PageHead>
      <ScrollLog label={`Messages in ${room}`} onOlder={older.has ? older.load : undefined}>
        {loading ? (
          <p className="log-note">Loading the room’s history…</p>
        ) : older.has ? (
          <p className="log-note">
            <button type="button" className="button-plain" onClick={older.load} disabled={older.loading}>
              {older.loading ? 'Loading older messages…' : 'Older messages'}
            </button>
          </p>
        ) : (
          <p className="log-note">
            {shown.length === 0 ? 'Nobody has said anything here yet.' : 'This is where the room begins.'}
          </p>
        )}
        <MessageList messages={shown} me={author} />
        {error && (
          <p className="notice" data-tone="bad" role="alert">
            <strong>This room cannot be followed.</strong> {error.message}
          </p>
        )}
      </ScrollLog>
      <div className="composer-dock">
        <Composer
          label={`Message to ${room}`}
          placeholder={`Message #${room}`}
          onSend={text => send.mutate({ id: crypto.randomUUID(), room, author, text })}
        />
      </div>
    </>
  )
}

function toPending({ message, submittedAt, ...rest }: Outgoing): PendingMessage {
  const { id, author, text } = message
  return { kind: 'pending', id, author, text, sentAt: submittedAt, ...rest }
}
