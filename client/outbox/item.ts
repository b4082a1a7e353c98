/** A mutation in the queue: what is stored of it, how far it has come, and who waits for it. */
import { TRPCClientError } from '@trpc/client'
import type { AnyRouter } from '@trpc/server'
import { toError } from '../../shared/errors.ts'
import type { ResolvedOptions } from '../options.ts'
import type { ResultObserver } from '../subscriptions/subscription.ts'
import type { ClientError } from '../transports/transport.ts'
import type { StoredMutation } from './storage.ts'

/** A mutation in the outbox, as an application shows it. */
export interface OutboxEntry {
  readonly id: string
  readonly path: string
  readonly input: unknown
  /** When it was made, in milliseconds since the epoch. */
  readonly at: number
  /** `failed`: the server refused it when nobody waited for the answer any more; see `error`. */
  readonly status: 'queued' | 'sending' | 'failed'
  /** Whether the storage has it: from then on it survives a reload, and may be sent. */
  readonly kept: boolean
  readonly error: ClientError | null
}

export interface Item {
  readonly stored: StoredMutation
  /** As JSON, in characters. */
  readonly length: number
  /** Not sent before: after a crash it has to be known under the same key. */
  kept: boolean
  /** Nobody is to see it any more, once it is out of the storage. */
  settled: boolean
  /** It was handed to the link, and so it may have happened, whatever became of the answer. */
  sent: boolean
  status: OutboxEntry['status']
  error: ClientError | null
  /** Who waits for the answer; null for one of an earlier page. */
  observer: ResultObserver | null
}

/** As one of an earlier page begins: in the storage, and nobody waits for it, or is to know whether it was sent. */
export const untried = {
  kept: true,
  settled: false,
  sent: false,
  status: 'queued',
  error: null,
  observer: null,
} as const

/** One of an earlier page, which may have had another transformer: what cannot be sent by this one is not tried. */
export function toItem(stored: StoredMutation, options: ResolvedOptions): Item {
  try {
    return { ...untried, stored, length: lengthOf(stored.input, options) }
  } catch (thrown) {
    const error = TRPCClientError.from<AnyRouter>(toError(thrown))
    return { ...untried, stored, length: 0, status: 'failed', error }
  }
}

/** As JSON, in characters. @throws whatever the transformer throws. */
export function lengthOf(input: unknown, { transformer }: ResolvedOptions): number {
  return JSON.stringify(transformer.input.serialize(input))?.length ?? 0
}

export function toEntry({ stored: { id, path, input, at }, status, kept, error }: Item): OutboxEntry {
  return { id, path, input, at, status, kept, error }
}
