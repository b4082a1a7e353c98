/** What `ws` tells of an upgrade that was refused; browsers tell nothing, and so do not load this. */
import { SluiceError } from '../../shared/errors.ts'
import type { Clock } from '../../shared/clock.ts'
import { retryAfterMs } from './retry-after.ts'
import type { Loss } from './transport.ts'

export interface RefusedUpgrade {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string | undefined>>
}

export function refusedUpgrade({ statusCode: status, headers }: RefusedUpgrade, clock: Clock): Loss {
  const message = `The upgrade was refused with HTTP status ${status}.`
  return {
    why: new SluiceError('CONNECTION_LOST', message, { data: { status } }),
    afterMs: retryAfterMs(headers['retry-after'] ?? null, clock.now()),
  }
}
