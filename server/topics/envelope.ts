import { tracked } from '@trpc/server'
import type { TrackedEnvelope } from '@trpc/server'
import { formatCursor } from '../../shared/protocol/cursor.ts'
import type { Place } from '../../shared/protocol/cursor.ts'

/**
 * One item of a log as subscribers get it: tRPC's `tracked()` envelope, made once per node and shared by all local
 * subscribers. Hence frozen, through and through: none of them may change what the others see.
 */
export type Envelope<Item> = TrackedEnvelope<Item>

export function sealEnvelope<Item>(place: Place, item: Item): Envelope<Item> {
  const envelope = tracked(formatCursor(place), freezeDeep(item))
  Object.freeze(envelope)
  sealed.add(envelope)
  return envelope
}

const sealed = new WeakSet<object>()

/** Whether a value is an envelope made here: what it looks like on the wire may be remembered. */
export function isSealed(value: object): boolean {
  return sealed.has(value)
}

function freezeDeep<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  // A typed array with elements cannot be frozen; it stays what it is, shared and to be left alone.
  if (ArrayBuffer.isView(value)) return value
  Object.freeze(value)
  for (const member of Object.values(value)) freezeDeep(member)
  return value
}
