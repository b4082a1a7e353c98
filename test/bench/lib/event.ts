import { z } from 'zod'

export const Event = z.object({ n: z.number(), at: z.date(), symbol: z.string(), note: z.string() })

/** Stands once in each event, and nowhere else on the wire: what a load client counts. */
export const mark = '^^'

const note = `${mark}${'the quick brown fox jumps over the lazy dog '.repeat(2)}`

/** About 200 bytes on the wire. */
export function createEvent(n: number): z.output<typeof Event> {
  return { n, at: new Date(1_700_000_000_000 + n), symbol: 'SLUICE', note }
}
