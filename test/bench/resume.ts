/** A storm after a cut: many come back at once, each some events behind. The connecting is part of it. */
import { onEachCarrier, type Scenario } from './lib/scenario.ts'
import { Trial } from './lib/trial.ts'

const clients = 500
const behind = 100

export default {
  what: 'Server CPU per delivered event, in µs',
  rows: onEachCarrier(`resume storm: ${clients} clients, ${behind} events behind`, async (peer, carrier) => {
    await using trial = await Trial.start(peer, carrier)
    await trial.connect({ for: 'events' }) // one that was not cut: the topic is in use
    let after = ''
    await trial.deliver(1, async () => (after = await trial.publish(1)))
    await trial.deliver(behind, () => trial.publish(behind))
    const storm = (connections: number) =>
      trial.deliver(connections * behind, () => trial.connect({ for: 'events', after }, { connections }))
    // Until the code is warm: after 1,500 connections a third of what is measured is still the compiler's.
    for (let round = 0; round < 12; round++) await storm(clients)
    const micros = await trial.cpuMicros(() => storm(clients))
    await trial.verify()
    return micros / (clients * behind)
  }),
} satisfies Scenario
