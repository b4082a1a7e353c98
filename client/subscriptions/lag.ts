/** How far behind a subscription is, as its server says. */
import type { Lag } from '../../shared/items.ts'
import { invalid, isRecord } from '../transports/decode.ts'

/** @throws SluiceError `MESSAGE_INVALID` when it is no lag. */
export function readLag(said: unknown): Lag {
  const { events, ms } = isRecord(said) ? said : {}
  if (typeof events === 'number' && typeof ms === 'number') return { events, ms }
  throw invalid(String(JSON.stringify(said)))
}
