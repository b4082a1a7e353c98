/** One reader of one plain generator, which never waits: a file, a fast model. */
import { options } from './lib/options.ts'
import { onEachCarrier, type Scenario } from './lib/scenario.ts'
import { Trial } from './lib/trial.ts'

/** About what stock tRPC delivers in twice the time: of a tenth of it, a third is spent by the compiler. */
const events = Math.ceil(options.seconds * 60_000)

export default {
  what: 'Server CPU per delivered event, in µs',
  rows: onEachCarrier('one generator, one reader', async (peer, carrier) => {
    await using trial = await Trial.start(peer, carrier)
    const read = (events: number) => trial.deliver(events, () => trial.connect({ for: 'flood', events }))
    await read(events) // until the code is warm
    const micros = await trial.cpuMicros(() => read(events))
    await trial.verify()
    return micros / events
  }),
} satisfies Scenario
