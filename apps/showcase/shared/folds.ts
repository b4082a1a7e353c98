/** How events become what is shown: pure, and the same on the server as in the page. */
import type { Fold } from 'trpc-sluice/shared'
import type { AnswerPiece, ConversationEvent, LibraryEvent, LobbyEvent } from './schemas.ts'

/** The rooms in the order in which they were opened. Two are always there. */
export const lobbyFold: Fold<LobbyEvent, readonly string[]> = {
  initial: ['general', 'random'],
  step: (rooms, { room }) => (rooms.includes(room) ? rooms : [...rooms, room]),
}

export interface ConversationEntry {
  readonly id: string
  readonly title: string
  readonly by: string
  readonly at: number
}

/** The conversations, newest first, and no more of them than a list should have. */
export const libraryFold: Fold<LibraryEvent, readonly ConversationEntry[]> = {
  initial: [],
  step: (entries, { conversation, title, by, at }) =>
    entries.some(entry => entry.id === conversation)
      ? entries
      : [{ id: conversation, title, by, at }, ...entries].slice(0, 100),
}

export interface Turn {
  /** The id of the run that answers. */
  readonly answer: string
  readonly question: string
  readonly by: string
  readonly at: number
  /** The whole answer, once it was given in full. */
  readonly text?: string
}

/** A conversation as turns of question and answer. */
export const conversationFold: Fold<ConversationEvent, readonly Turn[]> = {
  initial: [],
  step(turns, event) {
    if (event.kind === 'answered') {
      return turns.map(turn => (turn.answer === event.answer ? { ...turn, text: event.text } : turn))
    }
    if (turns.some(turn => turn.answer === event.answer)) return turns
    return [...turns, { answer: event.answer, question: event.text, by: event.by, at: event.at }]
  },
}

/** An answer as far as it has come. */
export const answerFold: Fold<AnswerPiece, string> = {
  initial: '',
  step: (text, piece) => text + piece.text,
}
