import { z } from 'zod'

const count = z.number().int().positive()
const bytes = z.number().int().positive()
const ms = z.number().positive()

/**
 * What a stranger can send or hold, and how long. Each field says its default, and what happens at the limit. What is
 * refused is counted by its code in `stats().refusals`.
 */
export const Limits = z.strictObject({
  /** One WebSocket message, in bytes; 1 MiB. A longer one closes the connection with 1009. */
  maxMessageBytes: bytes.default(1024 * 1024),
  /** Frames that one WebSocket message may be cut into; 1,024. More of them close the connection with 1008. */
  maxFragments: count.default(1_024),
  /** One HTTP request body, in bytes; 1 MiB. A longer one is refused with 413. */
  maxBodyBytes: bytes.default(1024 * 1024),
  /**
   * One HTTP request body that a procedure reads as a stream (`application/octet-stream`), in bytes; default: as
   * `maxBodyBytes`. Reading beyond it fails with 413. Memory does not grow with such a body, because its client waits
   * while the procedure does; raise it to what the procedure can store. It takes time, too: see `requestMs`.
   */
  maxStreamBytes: bytes.optional(),
  /**
   * Messages in one WebSocket frame, or calls in one HTTP batch; 1,000. A longer one is answered with the error
   * `BATCH_TOO_LONG`, and none of it is carried out. See the option `maxBatchSize` as well.
   */
  maxBatchLength: count.default(1_000),
  /**
   * How deep the objects and arrays of an input may be nested; 64. A deeper one is answered with the error
   * `INPUT_TOO_DEEP`, before the transformer, which may recurse, has seen it. What a transformer makes of references
   * (superjson), or reads in a text, is looked at as well, before the procedure is called: a circle has no end, and so
   * is refused, whatever the limit, unless that is none (`Number.MAX_SAFE_INTEGER`); so is what references make more
   * than 1,000,000 values longer.
   */
  maxDepth: count.default(64),
  /**
   * What one WebSocket may send in the long run: messages, pings and the messages of a batch, per second; 1,000. A
   * connection that sends more, once `maxMessageBurst` is used up, is closed (4503, `TOO_MANY_MESSAGES`). Credits
   * for events that it was sent do not count.
   */
  messagesPerSecond: z.number().positive().default(1_000),
  /**
   * What one WebSocket may send at once; 20,000, so that a client with the most subscriptions that a connection may
   * have can both start and stop them all.
   */
  maxMessageBurst: count.default(20_000),
  /** Subscriptions of one WebSocket at a time; 10,000. One more is answered with the error `TOO_MANY_SUBSCRIPTIONS`. */
  maxSubscriptions: count.default(10_000),
  /** WebSockets and SSE responses in all; 50,000. One more is refused with 503 (`SERVER_FULL`) and `Retry-After`. */
  maxConnections: count.default(50_000),
  /**
   * WebSockets and SSE responses of one address; 1,000. One more is refused with 429 (`TOO_MANY_CONNECTIONS`) and
   * `Retry-After`. What an address is, and which ones are not counted, is said at the option `addressOf`.
   */
  maxConnectionsPerAddress: count.default(1_000),
  /** Bytes in front of the network per connection; 64 KiB. Above it, nobody is asked for the next event. */
  outletHighWater: bytes.default(64 * 1024),
  /** How long a WebSocket may take to send its connection params, in milliseconds; 3 s. Then it is closed (4508). */
  helloMs: ms.default(3_000),
  /**
   * How long a WebSocket may stay without a subscription, a call or a message, in milliseconds; 10 min. Then it is
   * closed (4508, `IDLE`). Heartbeats are no messages.
   *
   * And how long a response that streams (SSE, the stream carrier) may take nothing at all of what waits for it, its
   * heartbeats included: up to a quarter longer, then it is cut off (`STALLED`). Its peer is gone without a word, or does
   * not read; one that takes a little is not meant. A client of ours resumes when it reads on.
   */
  idleMs: ms.default(600_000),
  /**
   * How long a connection may last before its client is asked to connect anew, in milliseconds; unlimited. A fifth of
   * it is up to chance. So connections spread over the servers there are, also over those that were added later.
   *
   * It bounds as well how long a peer can be held for that is gone without a word, and to which nothing is sent that it
   * would have to take: its subscriptions end then, whether it hears of that or not. A WebSocket's peer is known to be
   * gone by its heartbeats (`keepAlive`); of a response that streams, TCP itself knows after some 15 min on Linux.
   */
  maxConnectionAgeMs: ms.optional(),
  /**
   * How long a request may take to send its head, in milliseconds; 10 s. Then it is answered with 408 and cut. Of
   * `serve` only: where the server is yours, so is its `headersTimeout`.
   */
  requestHeadMs: ms.default(10_000),
  /**
   * How long a request may take to arrive as a whole once its head is here, in milliseconds; 60 s, on every host. Then
   * it is answered with 408 (`SILENT_PEER`), unless its response has begun, and cut off: over HTTP/1.1 with its
   * connection, over HTTP/2 alone. A `requestTimeout` of your server's own that is shorter comes first, and is not
   * counted.
   *
   * It counts until all has arrived. A procedure that reads the body as a stream holds its client back while it does
   * something else, and that time counts as well: what is stored slowly needs more of it. `sluice.fetch` sees what is
   * read and not what has arrived: there it counts from the first reading to the last, and who reads nothing is not
   * late.
   */
  requestMs: ms.default(60_000),
})

export type Limits = z.output<typeof Limits>

const unlimited = Number.MAX_SAFE_INTEGER

/** The limits of tRPC's own adapters, which is none, for those who move over by one line. */
export const stockLimits: z.input<typeof Limits> = {
  maxBodyBytes: unlimited,
  maxBatchLength: unlimited,
  maxDepth: unlimited,
  messagesPerSecond: unlimited,
  maxMessageBurst: unlimited,
  maxSubscriptions: unlimited,
  maxConnections: unlimited,
  maxConnectionsPerAddress: unlimited,
  helloMs: unlimited,
  idleMs: unlimited,
  requestMs: unlimited,
}
