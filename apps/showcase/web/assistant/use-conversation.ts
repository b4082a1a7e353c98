/** One conversation: its turns as everybody sees them, and what this reader has asked and nobody has seen yet. */
import { useCallback, useState } from 'react'
import { skipToken, useStream } from 'trpc-sluice/react'
import { conversationFold } from '../../shared/folds.ts'
import { client, trpc } from '../api.tsx'
import { useName } from '../identity.ts'
import { goTo } from '../place.ts'

export function useConversation(conversation: string | null) {
  const by = useName()
  const {
    state: turns,
    status,
    error,
  } = useStream(client.assistant.onConversation, conversation === null ? skipToken : { conversation }, {
    fold: conversationFold,
  })
  // A run keeps its id through all tries, by which it is started once: trying again is safe.
  const start = trpc.assistant.answer.start.useMutation({ retry: 3 })
  const stop = trpc.assistant.answer.stop.useMutation({ retry: 3 })
  const [ended, setEnded] = useState<ReadonlySet<string>>(new Set())
  const onEnd = useCallback((id: string) => setEnded(ended => new Set(ended).add(id)), [])

  const submit = (question: NonNullable<typeof start.variables>) =>
    start.mutate(question, {
      // Not called once the reader has gone elsewhere: nobody is fetched back.
      onSuccess: () => {
        if (conversation === null) goTo({ area: 'assistant', conversation: question.input.conversation })
      },
    })
  const asked = start.variables
  // A question that opens a conversation is on its way before there is an address to go to.
  const here =
    asked && (conversation === null ? start.status !== 'success' : asked.input.conversation === conversation)
  const pending = here && !turns.some(turn => turn.answer === asked.id) ? asked : null
  const last = turns.at(-1)
  return {
    turns,
    loading: conversation !== null && (status === 'idle' || status === 'connecting'),
    error,
    /** What was asked a moment ago and is not in the conversation yet. */
    pending: pending && {
      text: pending.input.text,
      error: start.error,
      retry: () => submit(pending),
    },
    /** The answer that is being written. */
    running: last && !ended.has(last.answer) ? last.answer : null,
    ask: (text: string) =>
      submit({
        id: crypto.randomUUID(),
        input: { conversation: conversation ?? crypto.randomUUID(), text, by },
      }),
    stop: (id: string) => stop.mutate({ id }),
    onEnd,
  }
}
