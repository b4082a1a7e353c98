// npm run bench: what the server costs, beside others, in the same run. npm run bench -- fanout --rounds 5 runs one
// scenario, --list names them all; test/bench/README.md says what there is.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildPackage } from './lib/build.mjs'
import { install } from './lib/install.mjs'
import { root, run } from './lib/run.mjs'
import { main, say, Stop } from './lib/say.mjs'

const folder = 'test/bench'

await main(async () => {
  const { values, positionals } = readArgs()
  const all = await namesIn(folder)
  if (values.list) return say(all.join('\n'))
  const options = {
    scenarios: positionals.length === 0 ? all : positionals.map(name => oneOf(all, 'scenario', name)),
    rounds: toNumber('rounds', values.rounds, /^[1-9]\d?$/, 'a whole number from 1 to 99'),
    seconds: toNumber(
      'seconds',
      values.seconds,
      /^(?!0+(\.0*)?$)\d{1,2}(\.\d+)?$/,
      'a number above 0 and below 100',
    ),
    peers: await toPeers(values.peers),
    only: values.only,
    cpuProf: values['cpu-prof'],
  }
  await install()
  await buildPackage()
  const runner = [process.execPath, '--import', 'tsx', `${folder}/lib/run.ts`]
  if ((await run([...runner, JSON.stringify(options)])) !== 0) throw new Stop('The bench failed (see above).')
})

function readArgs() {
  const options = {
    list: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '1' },
    peers: { type: 'string' },
    only: { type: 'string', default: '' },
    'cpu-prof': { type: 'boolean', default: false },
  }
  try {
    return parseArgs({ options, allowPositionals: true })
  } catch (error) {
    throw new Stop(error.message)
  }
}

/** The TypeScript files of a folder, by name. */
async function namesIn(path) {
  const files = await readdir(join(root, path))
  return files.flatMap(file => /^(.+)\.ts$/.exec(file)?.slice(1) ?? []).toSorted()
}

async function toPeers(text) {
  if (text === undefined) return null
  const all = await namesIn(`${folder}/peers`)
  return text.split(',').map(name => oneOf(all, 'peer', name))
}

function oneOf(all, what, name) {
  if (all.includes(name)) return name
  throw new Stop(`There is no ${what} ${JSON.stringify(name)}; there are: ${all.join(', ')}.`)
}

function toNumber(name, text, pattern, expected) {
  if (pattern.test(text)) return Number(text)
  throw new Stop(`--${name} is ${JSON.stringify(text)}; pass ${expected}.`)
}
