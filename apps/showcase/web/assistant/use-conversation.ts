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

  const ask = (text: string) => {
    const id = conversation ?? crypto.randomUUID()
    start.mutate(
      { id: crypto.randomUUID(), input: { conversation: id, text, by } },
      { onSuccess: () => conversation === null && goTo({ area: 'assistant', conversation: id }) },
    )
  }
  const asked = start.variables
  const pending = asked?.id !== undefined && !turns.some(turn => turn.answer === asked.id) ? asked : null
  const last = turns.at(-1)
  return {
    turns,
    loading: conversation !== null && (status === 'idle' || status === 'connecting'),
    error,
    /** What was asked a moment ago and is not in the conversation yet. */
    pending: pending && {
      text: pending.input.text,
      by: pending.input.by,
      error: start.error,
      retry: () => start.mutate(pending),
    },
    /** The answer that is being written. */
    running: last && !ended.has(last.answer) ? last.answer : null,
    ask,
    stop: (id: string) => stop.mutate({ id }),
    onEnd,
  }
}
