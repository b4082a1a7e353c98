/** Readers of language models: each its own generator, which gives one token a turn. */
import { onEachCarrier, type Scenario } from './lib/scenario.ts'
import { Trial } from './lib/trial.ts'

const readers = 50

export default {
  what: 'Server CPU per delivered event, in µs',
  rows: onEachCarrier(`${readers} readers of an LLM, one token each per turn`, async (peer, carrier) => {
    await using trial = await Trial.start(peer, carrier)
    await trial.connect({ for: 'tokens' }, { connections: readers })
    return await trial.cpuPerEvent(async () => {
      await trial.deliver(readers, () => trial.turn())
      return readers
    })
  }),
} satisfies Scenario
