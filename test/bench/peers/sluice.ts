/** Sluice: the subscription returns the topic's stream as it is. */
import { sluiceWith } from '../lib/sluice.ts'

export const serve = sluiceWith(stream => stream)
