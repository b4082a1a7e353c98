/** The assistant: each answer is a run, so it goes on without its reader, and any number of readers can watch it. */
import type OpenAI from 'openai'
import type { ChatCompletionMessageParam } from 'openai/resources/chat/completions'
import { createRun, createTopic, type Store } from 'trpc-sluice/server'
import { closing, resumable } from 'trpc-sluice/shared'
import { answerFold, conversationFold, libraryFold } from '../shared/folds.ts'
import {
  AnswerPiece,
  AnswerResult,
  ConversationEvent,
  ConversationId,
  LibraryEvent,
  Question,
} from '../shared/schemas.ts'
import { complete, CompletionError } from './completion.ts'
import { procedure, router } from './trpc.ts'

export interface Model {
  readonly openai: OpenAI
  readonly name: string
  /** What kind of model it is, for the page. */
  readonly about: string
  readonly embedded: boolean
}

export function createAssistant(store: Store, model: Model) {
  const library = createTopic({ name: 'library', event: LibraryEvent, store, fold: libraryFold })
  const conversation = createTopic({
    name: 'conversation',
    event: ConversationEvent,
    store,
    fold: conversationFold,
  })

  const answer = createRun({
    name: 'answer',
    procedure,
    input: Question,
    event: AnswerPiece,
    result: AnswerResult,
    store,
    fold: answerFold,
    onError: report,
  }).handler(async function* ({ input, signal, run }) {
    const startedAt = Date.now()
    await note(input, run.id, startedAt)
    const messages = await recall(input.conversation, run.id)
    await using pieces = closing(complete({ ...model, model: model.name, messages, signal }))
    let whole = ''
    let count = 0
    for (;;) {
      const piece = await pieces.next()
      if (piece.done) {
        await conversation.publish(input.conversation, { kind: 'answered', answer: run.id, text: whole })
        return { model: model.name, pieces: count, tookMs: Date.now() - startedAt, finish: piece.value }
      }
      whole += piece.value
      count++
      yield { text: piece.value }
    }
  })

  /** Writes down that something was asked; the first question opens the conversation. */
  async function note({ conversation: id, text, by }: Question, answer: string, at: number): Promise<void> {
    await conversation.publish(id, { kind: 'asked', answer, text, by, at }, { idempotencyKey: answer })
    const title = text.length > 80 ? `${text.slice(0, 79)}…` : text
    await library.publish('all', { kind: 'began', conversation: id, title, by, at }, { idempotencyKey: id })
  }

  /** What the model is told: the conversation so far, as far as it was answered in full, and the question. */
  async function recall(id: string, answer: string): Promise<ChatCompletionMessageParam[]> {
    const { events } = await conversation.read(id, { limit: 40 })
    const turns = events.map(({ event }) => event).reduce(conversationFold.step, conversationFold.initial)
    const relevant = turns.filter(turn => turn.text !== undefined || turn.answer === answer)
    return [
      { role: 'system', content: 'Answer helpfully and briefly, in plain prose or simple Markdown.' },
      ...relevant.flatMap(({ question, text }): ChatCompletionMessageParam[] => [
        { role: 'user', content: question },
        ...(text === undefined ? [] : [{ role: 'assistant' as const, content: text }]),
      ]),
    ]
  }

  return router({
    model: procedure.query(() => ({ name: model.name, about: model.about, embedded: model.embedded })),

    onLibrary: procedure
      .input(resumable())
      .subscription(({ input, signal }) => library.subscribe('all', { after: input.lastEventId, signal })),

    onConversation: procedure
      .input(resumable({ conversation: ConversationId }))
      .subscription(({ input, signal }) =>
        conversation.subscribe(input.conversation, { after: input.lastEventId, signal }),
      ),

    answer,
  })
}

/** An endpoint that fails is told to the reader, and to the operator in one line; anything else is a bug. */
function report(error: Error): void {
  if (error instanceof CompletionError) console.warn(`The assistant's model failed: ${error.message}`)
  else console.error('The assistant failed:', error)
}
