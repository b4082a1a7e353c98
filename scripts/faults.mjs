// npm run test:faults -- --faults 10000 --clients 200 --schedules 500 --seed 7: the fault tests in a larger size than in
// npm test. A seed replays what is random in the run that printed it.
import { runLarger } from './lib/larger.mjs'
import { main } from './lib/say.mjs'

await main(() =>
  runLarger(['test/promises/many-faults.test.ts', 'test/promises/faults.test.ts'], {
    faults: { byDefault: '10000', variable: 'FAULT_COUNT' },
    clients: { byDefault: '200', variable: 'FAULT_CLIENTS' },
    schedules: { byDefault: '500', variable: 'FAULT_SCHEDULES' },
    seed: { variable: 'FAULT_SEED' },
  }),
)
