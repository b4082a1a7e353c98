/** Sluice, where the application wraps the topic's stream in a generator of its own. */
import { sluiceWith } from '../lib/sluice.ts'

export const serve = sluiceWith(async function* (stream) {
  for await (const event of stream) yield event
})
