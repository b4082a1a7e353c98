// npm run test:faults -- --schedules 5000 --seed 7: the fault test over more random schedules than npm test runs.
// A seed replays the schedules of the run that printed it.
import { parseArgs } from 'node:util'
import { install } from './lib/install.mjs'
import { run, tool } from './lib/run.mjs'
import { main, say, Stop } from './lib/say.mjs'

const options = { schedules: { type: 'string', default: '5000' }, seed: { type: 'string' } }

await main(async () => {
  const values = readArgs()
  const schedules = toCount('schedules', values.schedules)
  const seed = values.seed === undefined ? undefined : toCount('seed', values.seed)
  await install()
  say(`▸ Running ${schedules} schedules of faults${seed === undefined ? '' : ` from seed ${seed}`} …`)
  const command = tool(
    'vitest',
    'run',
    '--project',
    'integration',
    '--testTimeout=0',
    'test/promises/faults.test.ts',
  )
  process.exitCode = await run(command, {
    env: { FAULT_SCHEDULES: schedules, ...(seed === undefined ? {} : { FAULT_SEED: seed }) },
  })
})

function readArgs() {
  try {
    return parseArgs({ options }).values
  } catch (error) {
    throw new Stop(error.message)
  }
}

function toCount(name, text) {
  if (/^-?\d+$/.test(text)) return text
  throw new Stop(`--${name} is ${JSON.stringify(text)}; pass a whole number.`)
}
