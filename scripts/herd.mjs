// npm run test:herd -- --clients 2000: a herd that is cut at one moment, with more clients than npm test has.
import { runLarger } from './lib/larger.mjs'
import { main } from './lib/say.mjs'

await main(() =>
  runLarger('test/promises/herd.test.ts', {
    clients: { byDefault: '2000', variable: 'HERD_CLIENTS' },
  }),
)
