/**
 * What a client has to know of `errorTable` to decide whether to come back. The table itself, with its lines of help,
 * is more than that by far and stays out of a page's code; that the two agree is seen to by the compiler.
 */
import type { errorTable, Retry, SluiceErrorCode } from './errors.ts'

type Table = typeof errorTable

/** The codes of which coming back is the cure. */
type PassingCode = {
  [Code in SluiceErrorCode]: Table[Code]['retry'] extends 'never' ? never : Code
}[SluiceErrorCode]

const passing: { readonly [Code in PassingCode]: Table[Code]['retry'] } = {
  CONNECTION_LOST: 'resume',
  CONSUMER_TOO_SLOW: 'resume',
  DRAINING: 'elsewhere',
  IDLE: 'resume',
  INTERNAL: 'resume',
  OUTCOME_UNKNOWN: 'resume',
  OVERSTAYED: 'resume',
  SERVER_FULL: 'elsewhere',
  SILENT_PEER: 'resume',
  STALLED: 'resume',
  STORE_CLOSED: 'elsewhere',
  STORE_UNAVAILABLE: 'resume',
  STREAMS_TAKEN: 'resume',
  TOO_MANY_CONNECTIONS: 'resume',
  TOO_MANY_MESSAGES: 'resume',
  TOO_MANY_SUBSCRIPTIONS: 'resume',
}

/** Whether coming back helps against an error with this code, which may be anybody's: never, if it is not ours. */
export function retryOf(code: unknown): Retry {
  return Object.hasOwn(passing, code as PropertyKey) ? passing[code as PassingCode] : 'never'
}
