// npm run test:faults -- --faults 10000 --clients 200 --schedules 500 --seed 7: the fault tests in a larger size than in
// npm test, in Node and in Chromium. A seed replays what is random in the run that printed it.
import { provideChromium } from './lib/chromium.mjs'
import { runLarger } from './lib/larger.mjs'
import { main, step } from './lib/say.mjs'

const tests = [
  'test/promises/many-faults.test.ts',
  'test/promises/faults.test.ts',
  'test/browser/schedules.test.ts',
]

await main(() =>
  runLarger(
    tests,
    {
      faults: { byDefault: '10000', variable: 'FAULT_COUNT' },
      clients: { byDefault: '200', variable: 'FAULT_CLIENTS' },
      schedules: { byDefault: '500', variable: 'FAULT_SCHEDULES' },
      seed: { variable: 'FAULT_SEED' },
    },
    async () => ({ CHROMIUM_PATH: await step('Finding a Chromium', provideChromium) }),
  ),
)
