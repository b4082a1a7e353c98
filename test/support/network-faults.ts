/** What happens to a network in random schedules, in Node and in a browser alike: which faults there are, and each done. */
import fc from 'fast-check'
import type { FaultProxy } from 'trpc-sluice/testing'

export type NetworkFault =
  | { do: 'cut'; how: 'rst' | 'fin'; midFrame: boolean }
  | { do: 'stall' }
  | { do: 'resume' }
  | { do: 'slice'; maxBytes: number }
  | { do: 'slow'; bytesPerSecond: number }
  | { do: 'refuse' }
  | { do: 'ban'; answer: 403 | 'drop' | 'silence' }
  | { do: 'heal' }
  | { do: 'pause'; ms: number }

/** What a fault does, as a constant of its own type. */
export const just = <Value extends string>(value: Value) => fc.constant(value)

/** @param longestPauseMs faults that follow at once meet clients that have not come back; after a pause, a stream. */
export function networkFaults({ longestPauseMs }: { readonly longestPauseMs: number }) {
  return [
    {
      weight: 4,
      arbitrary: fc.record({ do: just('cut'), how: fc.constantFrom('rst', 'fin'), midFrame: fc.boolean() }),
    },
    { weight: 2, arbitrary: fc.record({ do: just('stall') }) },
    { weight: 2, arbitrary: fc.record({ do: just('resume') }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: just('slice'), maxBytes: fc.integer({ min: 1, max: 64 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: just('slow'), bytesPerSecond: fc.integer({ min: 5000, max: 50_000 }) }),
    },
    { weight: 1, arbitrary: fc.record({ do: just('refuse') }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: just('ban'),
        answer: fc.constantFrom<403 | 'drop' | 'silence'>(403, 'drop', 'silence'),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: just('heal') }) },
    {
      weight: 7,
      arbitrary: fc.record({ do: just('pause'), ms: fc.integer({ min: 1, max: longestPauseMs }) }),
    },
  ] satisfies fc.MaybeWeightedArbitrary<NetworkFault>[]
}

/** Does it, through the proxy. */
export async function inject(fault: NetworkFault, proxy: FaultProxy): Promise<void> {
  switch (fault.do) {
    case 'cut':
      // In mid-frame, it waits for a frame, and for what heals or ends the connection where none comes, as when all is
      // stalled. One that is on its way from the server, which lives in this process, is here within a few turns.
      await Promise.race([proxy.cut(fault), ...(fault.midFrame ? [turns(20)] : [])])
      return
    case 'stall':
      return proxy.stall()
    case 'resume':
      return proxy.resume()
    case 'slice':
      return proxy.slice(fault)
    case 'slow':
      return proxy.slow(fault)
    case 'refuse':
      return proxy.refuse()
    case 'ban':
      return proxy.refuseUpgrades(fault)
    case 'heal':
      return proxy.heal()
    case 'pause':
      await new Promise(resolve => setTimeout(resolve, fault.ms))
      return
    default:
      return fault satisfies never
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(resolve => setImmediate(resolve))
}
