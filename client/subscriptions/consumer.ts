/** What a consumer says of itself travels through tRPC's client to our link, in the context of the operation. */
import type { Flow } from './inbox.ts'

export interface Consumer {
  /** Its room, where it says how much it can take. */
  readonly flow?: Flow | undefined
  /** Takes what the server says of the lag (lag.ts), where somebody wants to know. */
  readonly onLag?: ((said: unknown) => void) | undefined
}

const consumerKey: unique symbol = Symbol.for('trpc-sluice.consumer')

export function contextOf(consumer: Consumer): Record<string, unknown> {
  return { [consumerKey]: consumer }
}

export function consumerOf(context: object): Consumer | undefined {
  return (context as { [consumerKey]?: Consumer })[consumerKey]
}
