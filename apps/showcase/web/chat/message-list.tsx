import { memo } from 'react'
import type { RoomEvent } from '../../shared/schemas.ts'
import { Avatar } from '../avatar.tsx'
import { formatDay, formatFull, formatTime } from '../times.ts'
import { toTimeline, type Post } from './timeline.ts'

/** A message that has arrived by the room's log, or one of the reader's own that is still on its way there. */
export type ShownMessage = RoomEvent | PendingMessage

export interface PendingMessage extends Omit<RoomEvent, 'kind'> {
  readonly kind: 'pending'
  readonly status: 'sending' | 'sent' | 'failed'
  readonly error: string | null
  readonly retry: () => void
  readonly discard: () => void
}

interface MessageListProps {
  readonly messages: readonly ShownMessage[]
  readonly me: string
}

export const MessageList = memo(function MessageList({ messages, me }: MessageListProps) {
  const now = Date.now()
  return toTimeline(messages).map(day => (
    <section key={day.start} aria-label={formatDay(day.start, now)}>
      <h2 className="day">{formatDay(day.start, now)}</h2>
      {day.posts.map(post => (
        <PostView key={post.messages[0].id} post={post} mine={post.author === me} />
      ))}
    </section>
  ))
})

function PostView({ post, mine }: { readonly post: Post<ShownMessage>; readonly mine: boolean }) {
  const { author, messages } = post
  const { sentAt } = messages[0]
  return (
    <article className="post">
      <Avatar name={author} />
      <header className="post-head">
        <h3>{author}</h3>
        {mine && <span className="you">you</span>}
        <time dateTime={new Date(sentAt).toISOString()} title={formatFull(sentAt)}>
          {formatTime(sentAt)}
        </time>
      </header>
      {messages.map(message => (
        <MessageView key={message.id} message={message} />
      ))}
    </article>
  )
}

// A message that has arrived never changes: however many there are, only what is new is rendered.
const MessageView = memo(function MessageView({ message }: { readonly message: ShownMessage }) {
  const status = message.kind === 'pending' ? message.status : 'arrived'
  return (
    <div className="message" data-status={status} data-message={message.id}>
      {message.text}
      {message.kind === 'pending' && <PendingNote message={message} />}
    </div>
  )
})

function PendingNote({ message }: { readonly message: PendingMessage }) {
  const { status, error, retry, discard } = message
  if (status === 'sent') return null
  if (status === 'sending') return <span className="message-status">sending…</span>
  return (
    <span className="message-status" data-status="failed" role="alert" title={error ?? undefined}>
      not sent
      <button type="button" className="button-plain" onClick={retry}>
        Try again
      </button>
      <button type="button" className="button-plain" onClick={discard}>
        Discard
      </button>
    </span>
  )
}
