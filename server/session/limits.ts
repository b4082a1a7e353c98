import { z } from 'zod'

const bytes = z.number().int().positive()
const ms = z.number().positive()

/** What a stranger can send or hold, and how long. Each field says its default, and what happens at the limit. */
export const Limits = z.strictObject({
  /** One WebSocket message, in bytes; 1 MiB. A longer one closes the connection with 1009. */
  maxMessageBytes: bytes.default(1024 * 1024),
  /** One HTTP request body, in bytes; 1 MiB. A longer one is refused with 413. */
  maxBodyBytes: bytes.default(1024 * 1024),
  /** Subscriptions of one WebSocket at a time; 10,000. One more is answered with the error `TOO_MANY_SUBSCRIPTIONS`. */
  maxSubscriptions: z.number().int().positive().default(10_000),
  /** Bytes in front of the network per connection; 64 KiB. Above it, nobody is asked for the next event. */
  outletHighWater: bytes.default(64 * 1024),
  /** How long a WebSocket may take to send its connection params, in milliseconds; 10 s. Then it is closed (4508). */
  helloMs: ms.default(10_000),
})

export type Limits = z.output<typeof Limits>

/** The limits of tRPC's own adapters, which is none, for those who move over by one line. */
export const stockLimits: z.input<typeof Limits> = {
  maxBodyBytes: Number.MAX_SAFE_INTEGER,
  maxSubscriptions: Number.MAX_SAFE_INTEGER,
  helloMs: Number.MAX_SAFE_INTEGER,
}
