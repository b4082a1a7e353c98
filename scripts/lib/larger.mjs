// A test of `npm test` in a larger size: the numbers of the command line become its environment.
import { parseArgs } from 'node:util'
import { install } from './install.mjs'
import { run, tool } from './run.mjs'
import { say, Stop } from './say.mjs'

/**
 * @param tests the test file, or several, which run one after another.
 * @param counts what may be given: option → its default (none: left to the test) and the variable that the test reads.
 * @param provide finds or installs what the tests need beside the dependencies; returns the variables that say where.
 */
export async function runLarger(tests, counts, provide = async () => ({})) {
  const env = {}
  for (const [name, text] of Object.entries(readArgs(counts))) {
    if (!/^-?\d+$/.test(text)) throw new Stop(`--${name} is ${JSON.stringify(text)}; pass a whole number.`)
    env[counts[name].variable] = text
  }
  await install()
  Object.assign(env, await provide())
  const files = [tests].flat()
  say(`▸ Running ${files.join(' and ')} with ${JSON.stringify(env)} …`)
  const projects = ['--project', 'integration', '--project', 'browser']
  const options = ['--testTimeout=0', '--no-file-parallelism']
  const command = tool('vitest', 'run', ...projects, ...options, ...files)
  process.exitCode = await run(command, { env })
}

function readArgs(counts) {
  const options = Object.fromEntries(
    Object.entries(counts).map(([name, { byDefault }]) => [name, { type: 'string', default: byDefault }]),
  )
  try {
    return Object.fromEntries(
      Object.entries(parseArgs({ options }).values).filter(([, text]) => text !== undefined),
    )
  } catch (error) {
    throw new Stop(error.message)
  }
}
