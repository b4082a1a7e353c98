/** How the wish to know the lag travels through tRPC's client to our link: in the context of the operation. */
import type { Lag } from '../../shared/items.ts'

const lagKey: unique symbol = Symbol.for('trpc-sluice.lag')

type OnLag = (lag: Lag) => void

export function contextWithLag(onLag: OnLag): Record<string, unknown> {
  return { [lagKey]: onLag }
}

export function onLagOf(context: object): OnLag | undefined {
  return (context as { [lagKey]?: OnLag })[lagKey]
}
