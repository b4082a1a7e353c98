// npm run test:outbox -- --increments 5000: the outbox under faults, with more mutations than npm test makes.
import { runLarger } from './lib/larger.mjs'
import { main } from './lib/say.mjs'

await main(() =>
  runLarger('test/promises/client/outbox.test.ts', {
    increments: { byDefault: '5000', variable: 'OUTBOX_INCREMENTS' },
  }),
)
