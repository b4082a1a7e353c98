import superjson from 'superjson'
import { z } from 'zod'
import { mark } from './mark.ts'

export const Event = z.object({ n: z.number(), at: z.date(), symbol: z.string(), note: z.string() })
export type Event = z.output<typeof Event>

const words = 'the quick brown fox jumps over the lazy dog '

/** About 200 bytes on the wire, or so many. */
export function createEvent(n: number, bytes = 90): Event {
  const note = mark + words.repeat(Math.ceil(bytes / words.length)).slice(0, bytes - mark.length)
  return { n, at: new Date(1_700_000_000_000 + n), symbol: 'SLUICE', note }
}

/** For peers that leave the writing to the application: what the others' transformer writes. */
export const encode = (event: Event): string => superjson.stringify(event)

/** The same bytes, by one who knows what is in an event. */
export function encodeByHand(event: Event): string {
  return `{"json":${JSON.stringify(event)},"meta":{"values":{"at":["Date"]},"v":1}}`
}
