/** How the wish to know the lag travels through tRPC's client to our link: in the context of the operation. */
import { isRecord, invalid } from '../transports/decode.ts'
import type { Lag } from '../../shared/items.ts'

const lagKey: unique symbol = Symbol.for('trpc-sluice.lag')

/** Takes what the server says of it. @throws SluiceError `MESSAGE_INVALID` when it is no lag. */
type OnLag = (said: unknown) => void

export function contextWithLag(onLag: (lag: Lag) => void): Record<string, unknown> {
  const read: OnLag = said => {
    const { events, ms } = isRecord(said) ? said : {}
    if (typeof events !== 'number' || typeof ms !== 'number') throw invalid(JSON.stringify(said))
    onLag({ events, ms })
  }
  return { [lagKey]: read }
}

export function onLagOf(context: object): OnLag | undefined {
  return (context as { [lagKey]?: OnLag })[lagKey]
}
