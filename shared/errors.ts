/**
 * One class of error with many codes, and the one table that says what each code means on every carrier:
 * its HTTP status, its WebSocket close code, whether coming back helps, and what a person can do.
 *
 * Close codes tell their story: 44xx mirrors an HTTP 4xx and means that the same request will fail again;
 * 45xx mirrors a 5xx and means "come back and resume". A peer that meets a number newer than itself still
 * does the right thing by its hundred.
 */

/** Whether coming back helps: never with the same request, with the last cursor, or at another server. */
export type Retry = 'never' | 'resume' | 'elsewhere'

interface CodeEntry {
  /** HTTP status of a response that carries this error. */
  readonly status: number
  /** WebSocket close code, where the error ends the connection. */
  readonly close: number
  /** The tRPC code that stock clients see. */
  readonly trpc:
    | 'BAD_REQUEST'
    | 'CLIENT_CLOSED_REQUEST'
    | 'CONFLICT'
    | 'FORBIDDEN'
    | 'GATEWAY_TIMEOUT'
    | 'INTERNAL_SERVER_ERROR'
    | 'NOT_FOUND'
    | 'PAYLOAD_TOO_LARGE'
    | 'PRECONDITION_FAILED'
    | 'SERVICE_UNAVAILABLE'
    | 'TIMEOUT'
    | 'TOO_MANY_REQUESTS'
    | 'UNAUTHORIZED'
    | 'UNPROCESSABLE_CONTENT'
  readonly retry: Retry
  /** What to do about it. */
  readonly help: string
}

export const errorTable = {
  ACCESS_REVOKED: {
    status: 403,
    close: 4403,
    trpc: 'FORBIDDEN',
    retry: 'never',
    help: 'The server no longer lets this user have this subscription (auth.authorize). Ask for access before subscribing again.',
  },
  BATCH_TOO_LONG: {
    status: 400,
    close: 4400,
    trpc: 'BAD_REQUEST',
    retry: 'never',
    help: 'Send fewer messages in one frame, or calls in one HTTP request, or raise limits.maxBatchLength on the server.',
  },
  CONFLICT: {
    status: 409,
    close: 4409,
    trpc: 'CONFLICT',
    retry: 'never',
    help: 'Somebody else appended first. Read the log again and decide anew.',
  },
  CONNECTION_LOST: {
    status: 503,
    close: 4503,
    trpc: 'SERVICE_UNAVAILABLE',
    retry: 'resume',
    help: 'The connection broke or could not be opened. The client comes back by itself and resumes.',
  },
  CONNECTION_REFUSED: {
    status: 403,
    close: 4403,
    trpc: 'FORBIDDEN',
    retry: 'never',
    help: 'The server closed the connection with a code that says not to come back: see data.closeCode and data.reason. The next subscription or request tries again.',
  },
  CONSUMER_TOO_SLOW: {
    status: 429,
    close: 4503,
    trpc: 'TOO_MANY_REQUESTS',
    retry: 'resume',
    help: 'Events came faster than the loop took them. Do less per event, raise maxBuffered, or ask the server for less.',
  },
  CONTEXT_EXPIRED: {
    status: 401,
    close: 4401,
    trpc: 'UNAUTHORIZED',
    retry: 'never',
    help: 'Who the client said it is has run out, and it did not renew it in time. Log in again; the next subscription or request connects anew.',
  },
  CURSOR_INVALID: {
    status: 400,
    close: 4400,
    trpc: 'BAD_REQUEST',
    retry: 'never',
    help: 'Pass the id of an event received from this very log, or leave the cursor out.',
  },
  DRAINING: {
    status: 503,
    close: 4503,
    trpc: 'SERVICE_UNAVAILABLE',
    retry: 'elsewhere',
    help: 'The server is going away. Connect again; another one will answer.',
  },
  EVENT_ID_INVALID: {
    status: 500,
    close: 4500,
    trpc: 'INTERNAL_SERVER_ERROR',
    retry: 'never',
    help: 'An event id must be free of CR, LF and NUL. Encode it before calling tracked().',
  },
  EVENT_INVALID: {
    status: 422,
    close: 4422,
    trpc: 'UNPROCESSABLE_CONTENT',
    retry: 'never',
    help: 'Publish a value that the schema of the topic accepts.',
  },
  GAP: {
    status: 412,
    close: 4412,
    trpc: 'PRECONDITION_FAILED',
    retry: 'never',
    help: 'Events after the cursor are gone. Load fresh state and subscribe without the cursor, or give the topic another gap policy.',
  },
  IDEMPOTENCY_CONFLICT: {
    status: 422,
    close: 4422,
    trpc: 'UNPROCESSABLE_CONTENT',
    retry: 'never',
    help: 'This idempotency key was used for something else, by somebody else, or for a batch. Use a new key for each thing to be done, and over HTTP a request of its own.',
  },
  IDLE: {
    status: 408,
    close: 4508,
    trpc: 'TIMEOUT',
    retry: 'resume',
    help: 'Nothing was asked for too long on a connection without a subscription. Connect again when there is something to ask.',
  },
  INPUT_TOO_DEEP: {
    status: 400,
    close: 4400,
    trpc: 'BAD_REQUEST',
    retry: 'never',
    help: 'Send input that is nested less, or raise limits.maxDepth on the server.',
  },
  INTERNAL: {
    status: 500,
    close: 4500,
    trpc: 'INTERNAL_SERVER_ERROR',
    retry: 'resume',
    help: 'A bug in the server. Its onError has the details.',
  },
  KEY_INVALID: {
    status: 400,
    close: 4400,
    trpc: 'BAD_REQUEST',
    retry: 'never',
    help: 'Use a key of 1 to 256 bytes without control characters.',
  },
  LINK_CLOSED: {
    status: 499,
    close: 4499,
    trpc: 'CLIENT_CLOSED_REQUEST',
    retry: 'never',
    help: 'close() was called on the link. Make a new one.',
  },
  LOST: {
    status: 409,
    close: 4409,
    trpc: 'CONFLICT',
    retry: 'never',
    help: 'The connection was lost under a subscription that must not run twice (once()). Look at what it did before you subscribe again.',
  },
  MESSAGE_INVALID: {
    status: 400,
    close: 4400,
    trpc: 'BAD_REQUEST',
    retry: 'never',
    help: 'Speak the tRPC message protocol (docs/wire.md).',
  },
  ORIGIN_FORBIDDEN: {
    status: 403,
    close: 4403,
    trpc: 'FORBIDDEN',
    retry: 'never',
    help: 'Add the origin of the page to allowedOrigins.',
  },
  OUTBOX_CANCELLED: {
    status: 499,
    close: 4499,
    trpc: 'CLIENT_CLOSED_REQUEST',
    retry: 'never',
    help: 'The mutation was taken back before it was sent. It did not happen.',
  },
  OUTBOX_EXPIRED: {
    status: 408,
    close: 4408,
    trpc: 'TIMEOUT',
    retry: 'never',
    help: 'The mutation waited in the outbox for longer than expireAfterMs. If it was ever sent, it may have happened.',
  },
  OUTBOX_FULL: {
    status: 429,
    close: 4429,
    trpc: 'TOO_MANY_REQUESTS',
    retry: 'never',
    help: 'Too many mutations wait to be sent. Wait for the connection, cancel some, or raise maxMutations or maxLength.',
  },
  OUTCOME_UNKNOWN: {
    status: 504,
    close: 4504,
    trpc: 'GATEWAY_TIMEOUT',
    retry: 'resume',
    help: 'It may or may not have happened. Retry an append with the same idempotencyKey; look before you repeat a mutation.',
  },
  OVERSTAYED: {
    status: 500,
    close: 4500,
    trpc: 'INTERNAL_SERVER_ERROR',
    retry: 'resume',
    help: 'A generator did not finish within the grace period. Wrap what it waits for in withSignal().',
  },
  PAYLOAD_TOO_LARGE: {
    status: 413,
    close: 4413,
    trpc: 'PAYLOAD_TOO_LARGE',
    retry: 'never',
    help: 'Send less at once, or raise the limit on the server.',
  },
  RUN_NOT_FOUND: {
    status: 404,
    close: 4404,
    trpc: 'NOT_FOUND',
    retry: 'never',
    help: 'Start the run first, or check its id: it may have passed its retention.',
  },
  SERVER_FULL: {
    status: 503,
    close: 4503,
    trpc: 'SERVICE_UNAVAILABLE',
    retry: 'elsewhere',
    help: 'This server has as many connections as it takes (limits.maxConnections). Connect again later; another one may answer.',
  },
  SILENT_PEER: {
    status: 408,
    close: 4508,
    trpc: 'TIMEOUT',
    retry: 'resume',
    help: 'Nothing was heard from the other side for too long, or a request did not arrive as a whole in time (limits.requestMs). Connect again and resume.',
  },
  STALLED: {
    status: 408,
    close: 4508,
    trpc: 'TIMEOUT',
    retry: 'resume',
    help: 'The client took nothing for longer than its subscription, or the server, allows. It resumes with its last cursor.',
  },
  STORE_CLOSED: {
    status: 503,
    close: 4503,
    trpc: 'SERVICE_UNAVAILABLE',
    retry: 'elsewhere',
    help: 'The store was closed while in use: close the server first, then the store.',
  },
  STORE_UNAVAILABLE: {
    status: 503,
    close: 4503,
    trpc: 'SERVICE_UNAVAILABLE',
    retry: 'resume',
    help: 'The store could not be reached. Nothing was appended; try again.',
  },
  STREAMS_TAKEN: {
    status: 503,
    close: 4503,
    trpc: 'SERVICE_UNAVAILABLE',
    retry: 'resume',
    help: 'Over streamed HTTP a page has two responses, and both carry subscriptions that cannot be moved. Give their events ids by tracked() or a topic, or start them together.',
  },
  STREAM_INVALID: {
    status: 500,
    close: 4500,
    trpc: 'INTERNAL_SERVER_ERROR',
    retry: 'never',
    help: 'The procedure yielded a value that its own output schema refuses.',
  },
  TOO_MANY_CONNECTIONS: {
    status: 429,
    close: 4503,
    trpc: 'TOO_MANY_REQUESTS',
    retry: 'resume',
    help: 'Close connections that are no longer needed, or raise limits.maxConnectionsPerAddress on the server. Behind a proxy, see addressOf.',
  },
  TOO_MANY_MESSAGES: {
    status: 429,
    close: 4503,
    trpc: 'TOO_MANY_REQUESTS',
    retry: 'resume',
    help: 'Send less per second, or raise limits.messagesPerSecond and limits.maxMessageBurst on the server.',
  },
  TOO_MANY_SUBSCRIPTIONS: {
    status: 429,
    close: 4503,
    trpc: 'TOO_MANY_REQUESTS',
    retry: 'resume',
    help: 'End subscriptions that are no longer needed, or raise limits.maxSubscriptions on the server.',
  },
  TRANSPORT_UNAVAILABLE: {
    status: 412,
    close: 4412,
    trpc: 'PRECONDITION_FAILED',
    retry: 'never',
    help: 'This environment lacks what the transport needs. Pass an absolute url, a WebSocket or a fetch to sluiceLink().',
  },
} as const satisfies Record<string, CodeEntry>

export type SluiceErrorCode = keyof typeof errorTable

export interface SluiceErrorOptions {
  /** Typed details, safe to show to the client. */
  readonly data?: Readonly<Record<string, unknown>>
  /** The original error; never sent to a client. */
  readonly cause?: unknown
}

/** An error of Sluice. Switch on `code`; `errorTable` says what each means. */
export class SluiceError extends Error {
  override readonly name = 'SluiceError'
  declare readonly code: SluiceErrorCode
  declare readonly data: Readonly<Record<string, unknown>>

  constructor(code: SluiceErrorCode, message: string, options: SluiceErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.data = options.data ?? {}
  }
}

/** True for a `SluiceError`, also one that another copy of this package made. */
export function isSluiceError(value: unknown): value is SluiceError {
  return value instanceof Error && value.name === 'SluiceError' && 'code' in value
}

/** Whatever was thrown, as an `Error`. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`Thrown: ${quote(thrown)}`, { cause: thrown })
}

/** A value from outside, fit for an error message: shortened and escaped. */
export function quote(value: unknown, maxLength = 60): string {
  // An object's own toString may be anything, also missing or hostile.
  const text = Object(value) === value ? Object.prototype.toString.call(value) : String(value)
  const short = text.length > maxLength ? `${text.slice(0, maxLength)}…` : text
  return JSON.stringify(short)
}

/** Whether a close code tells a client not to come back with the same request (RFC 6455 7.4, and 44xx of ours). */
export function isFinalCloseCode(code: number): boolean {
  // 1002 protocol error, 1003 unsupported data, 1007 invalid payload, 1008 policy, 1009 too big, 1010 extension:
  // the same request would fail in the same way.
  return /^(44..|100[23789]|1010)$/.test(String(code))
}
