import { useMemo } from 'react'
import { Composer } from '../composer.tsx'
import { useName } from '../identity.ts'
import { ScrollLog } from '../scroll-log.tsx'
import { PageHead } from '../shell/page-head.tsx'
import { MessageList, type ShownMessage } from './message-list.tsx'
import { useOutgoing, useSend } from './use-outgoing.ts'
import { useRoom } from './use-room.ts'

export function ChatPage({ room }: { readonly room: string }) {
  const author = useName()
  const { messages, loading, error, older } = useRoom(room)
  const outgoing = useOutgoing(room)
  const send = useSend()

  const shown = useMemo<readonly ShownMessage[]>(() => {
    const arrived = new Set(messages.map(({ id }) => id))
    const onTheWay = outgoing.filter(({ message }) => !arrived.has(message.id))
    return [
      ...messages.map(message => ({ ...message, status: 'arrived' as const })),
      ...onTheWay.map(({ message, submittedAt, status, error, discard }) => ({
        ...message,
        sentAt: submittedAt,
        status,
        error,
        discard,
        retry: () => {
          discard()
          send.mutate(message)
        },
      })),
    ]
  }, [messages, outgoing, send])

  return (
    <>
      <PageHead title={`# ${room}`}>
        Every message is in a log on disk. Open this page twice, cut the network, restart the server: nothing
        is lost, nothing comes twice.
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
