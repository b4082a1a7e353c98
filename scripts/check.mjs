// npm run check: quick certainty before a commit. Types, lint, format, dead code, duplicates and the unit tests.
import { checkHouse } from './lib/house.mjs'
import { install } from './lib/install.mjs'
import { capture, tool } from './lib/run.mjs'
import { main } from './lib/say.mjs'

await main(async () => {
  await install()
  await checkHouse({
    'unit tests': () => capture(tool('vitest', 'run', '--project', 'unit', '--reporter=dot')),
  })
})
