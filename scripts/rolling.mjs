// npm run test:rolling -- --clients 1000: a deploy under load, with more clients than npm test has.
import { runLarger } from './lib/larger.mjs'
import { main } from './lib/say.mjs'

await main(() =>
  runLarger('test/promises/rolling.test.ts', {
    clients: { byDefault: '1000', variable: 'ROLLING_CLIENTS' },
  }),
)
