import { memo } from 'react'
import type { RoomEvent } from '../../shared/schemas.ts'
import { Avatar } from '../avatar.tsx'
import { formatDay, formatFull, formatTime } from '../times.ts'
import { toTimeline, type Post } from './timeline.ts'

export type ShownMessage = Pick<RoomEvent, 'id' | 'author' | 'text' | 'sentAt'> &
  (
    | { readonly status: 'arrived' }
    | {
        readonly status: 'sending' | 'sent' | 'failed'
        readonly error: string | null
        readonly retry: () => void
        readonly discard: () => void
      }
  )

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

function MessageView({ message }: { readonly message: ShownMessage }) {
  return (
    <div className="message" data-status={message.status} data-message={message.id}>
      {message.text}
      {message.status === 'sending' && <span className="message-status">sending…</span>}
      {message.status === 'failed' && (
        <span className="message-status" data-status="failed" role="alert" title={message.error ?? undefined}>
          not sent
          <button type="button" className="button-plain" onClick={message.retry}>
            Try again
          </button>
          <button type="button" className="button-plain" onClick={message.discard}>
            Discard
          </button>
        </span>
      )}
    </div>
  )
}
