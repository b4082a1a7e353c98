/** The reader's own messages on their way to the server: shown as pending until the server has them on disk. */
import { useMutationState, useQueryClient } from '@tanstack/react-query'
import { getMutationKey } from '@trpc/react-query'
import type { NewMessage } from '../../shared/schemas.ts'
import { trpc } from '../api.tsx'

export interface Outgoing {
  readonly message: NewMessage
  readonly submittedAt: number
  /** `sent`: the server has it, and this page is about to receive it like everybody else. */
  readonly status: 'sending' | 'sent' | 'failed'
  readonly error: string | null
  readonly discard: () => void
}

const tries = 3

export function useSend() {
  // A message keeps its id through all tries, by which the server posts it once: trying again is safe.
  return trpc.chat.send.useMutation({ retry: tries })
}

export function useOutgoing(room: string): readonly Outgoing[] {
  const cache = useQueryClient().getMutationCache()
  const all = useMutationState({
    filters: { mutationKey: getMutationKey(trpc.chat.send) },
    select: (mutation): Outgoing => {
      const { status, submittedAt, error } = mutation.state
      return {
        // The key above is that of send, and this is what send was called with.
        message: mutation.state.variables as NewMessage,
        submittedAt,
        status: status === 'error' ? 'failed' : status === 'success' ? 'sent' : 'sending',
        error: error?.message ?? null,
        discard: () => cache.remove(mutation),
      }
    },
  })
  return all.filter(({ message }) => message?.room === room)
}
