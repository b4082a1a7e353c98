/** Messages as they are laid out: days, in them posts of one author, in those the messages. */
import type { RoomEvent } from '../../shared/schemas.ts'
import { startOfDay } from '../times.ts'

export interface Day<Message> {
  /** When it began, in milliseconds since the epoch. */
  readonly start: number
  readonly posts: readonly Post<Message>[]
}

export interface Post<Message> {
  readonly author: string
  readonly messages: readonly [Message, ...Message[]]
}

/** After so long a pause, the same author's next message is a post of its own. */
const pauseMs = 5 * 60_000

type Placed = Pick<RoomEvent, 'author' | 'sentAt'>

export function toTimeline<Message extends Placed>(messages: readonly Message[]): Day<Message>[] {
  const days: { start: number; posts: { author: string; messages: [Message, ...Message[]] }[] }[] = []
  let previous: Message | undefined
  for (const message of messages) {
    const start = startOfDay(message.sentAt)
    let day = days.at(-1)
    if (day?.start !== start) {
      day = { start, posts: [] }
      days.push(day)
      previous = undefined
    }
    const post = day.posts.at(-1)
    const continues =
      previous?.author === message.author && message.sentAt - previous.sentAt < pauseMs && post !== undefined
    if (continues) post.messages.push(message)
    else day.posts.push({ author: message.author, messages: [message] })
    previous = message
  }
  return days
}
