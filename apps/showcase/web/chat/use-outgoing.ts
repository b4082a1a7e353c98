/** The reader's own messages on their way to the server: shown as pending until the server has them on disk. */
import { useMutationState, useQueryClient } from '@tanstack/react-query'
import { getMutationKey } from '@trpc/react-query'
import { useOutbox } from 'trpc-sluice/react'
import type { NewMessage } from '../../shared/schemas.ts'
import { outbox, trpc } from '../api.tsx'

export interface Outgoing {
  readonly message: NewMessage
  readonly submittedAt: number
  /** `sent`: the server has it, and this page is about to receive it like everybody else. */
  readonly status: 'sending' | 'sent' | 'failed'
  readonly error: string | null
  readonly retry: () => void
  readonly discard: () => void
}

/** A message keeps its id through all tries, by which the server posts it once. */
export function useSend() {
  return trpc.chat.send.useMutation()
}

export function useOutgoing(room: string): readonly Outgoing[] {
  const own = useOwn()
  const known = new Set(own.map(({ message }) => message.id))
  return [...useLeft().filter(({ message }) => !known.has(message.id)), ...own].filter(
    ({ message }) => message.room === room,
  )
}

/** Those of this page. */
function useOwn(): readonly Outgoing[] {
  const cache = useQueryClient().getMutationCache()
  const { mutate } = useSend()
  return useMutationState({
    filters: { mutationKey: getMutationKey(trpc.chat.send) },
    select: (mutation): Outgoing => {
      const { status, submittedAt, error } = mutation.state
      // The key above is that of send, and this is what send was called with.
      const message = mutation.state.variables as NewMessage
      const discard = () => cache.remove(mutation)
      return {
        message,
        submittedAt,
        status: status === 'error' ? 'failed' : status === 'success' ? 'sent' : 'sending',
        error: error?.message ?? null,
        discard,
        retry() {
          discard()
          mutate(message)
        },
      }
    },
  })
}

/** Those that an earlier page has left behind. */
function useLeft(): readonly Outgoing[] {
  const { entries, retry, cancel } = useOutbox(outbox)
  return entries.map(({ id, input, at, status, error }) => ({
    message: input as NewMessage, // the outbox takes nothing but messages
    submittedAt: at,
    status: status === 'failed' ? 'failed' : 'sending',
    error: error?.message ?? null,
    retry: () => retry(id),
    discard: () => cancel(id),
  }))
}
