/**
 * Credit: how much a consumer that pulls can take, so that one that takes slowly holds the server back although its
 * socket, which others share, is read on. It is a window. The client says once how large it is, and then how many
 * events have been taken out of it; bytes are counted by the server alone, for both sides would have to measure them
 * alike, and come back with the events that had them. Wire: docs/wire.md, section 4.
 */

/** How much may be on its way to a consumer, or wait there to be taken. */
export interface Credit {
  readonly events: number
  /** Of encoded messages. The last message, or batch of them, may go beyond. */
  readonly bytes: number
}

/**
 * What a server grants. Not fewer bytes than some batches of small events have: a batch comes back in equal shares,
 * and the client, who measures characters, says that it has taken an eighth of its bytes before the rest can run out.
 */
export const creditBounds = { maxEvents: 65_536, minBytes: 1024 * 1024, maxBytes: 64 * 1024 * 1024 } as const

/** A consumer's room as a window that a server grants. */
export function toCredit(maxEvents: number, maxBytes: number): Credit {
  const { maxEvents: most, minBytes, maxBytes: mostBytes } = creditBounds
  return {
    events: Math.floor(Math.min(maxEvents, most)),
    bytes: Math.floor(Math.min(Math.max(maxBytes, minBytes), mostBytes)),
  }
}
