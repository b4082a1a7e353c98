// npm run test:faults -- --schedules 5000 --seed 7: the fault test over more random schedules than npm test runs.
// A seed replays the schedules of the run that printed it.
import { runLarger } from './lib/larger.mjs'
import { main } from './lib/say.mjs'

await main(() =>
  runLarger('test/promises/faults.test.ts', {
    schedules: { byDefault: '5000', variable: 'FAULT_SCHEDULES' },
    seed: { variable: 'FAULT_SEED' },
  }),
)
