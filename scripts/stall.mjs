// npm run test:stall -- --megabytes 500 --clients 100: the test of readers that stop, with more than npm test offers
// them. It prints what they cost, and ends by itself.
import { parseArgs } from 'node:util'
import { install } from './lib/install.mjs'
import { run, tool } from './lib/run.mjs'
import { main, say, Stop } from './lib/say.mjs'

const options = { megabytes: { type: 'string', default: '500' }, clients: { type: 'string', default: '100' } }

await main(async () => {
  const values = readArgs()
  for (const [name, text] of Object.entries(values)) {
    if (!/^[1-9]\d*$/.test(text))
      throw new Stop(`--${name} is ${JSON.stringify(text)}; pass a whole number above 0.`)
  }
  const { megabytes, clients } = values
  await install()
  say(`▸ Publishing ${megabytes} MB to readers that have stopped, and ${clients} of them at once …`)
  const command = tool('vitest', 'run', '--project', 'integration', 'test/promises/bounded.test.ts')
  process.exitCode = await run(command, { env: { STALL_MEGABYTES: megabytes, STALL_CLIENTS: clients } })
})

function readArgs() {
  try {
    return parseArgs({ options }).values
  } catch (error) {
    throw new Stop(error.message)
  }
}
