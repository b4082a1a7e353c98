// npm run bench: all scenarios of test/bench. npm run bench -- fanout runs one; what follows it goes to the scenario.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { install } from './lib/install.mjs'
import { root, run } from './lib/run.mjs'
import { main, say, step, Stop } from './lib/say.mjs'

const folder = 'test/bench'

await main(async () => {
  const [name, ...args] = process.argv.slice(2)
  const scenarios = (await readdir(join(root, folder)))
    .filter(file => file.endsWith('.ts'))
    .map(file => file.slice(0, -'.ts'.length))
    .toSorted()
  if (name === undefined) say(`Scenarios: ${scenarios.join(', ')}`)
  else if (!scenarios.includes(name))
    throw new Stop(`There is no ${name}; there are: ${scenarios.join(', ')}`)
  await install()
  for (const scenario of name === undefined ? scenarios : [name]) {
    await step(scenario, async () => {
      const code = await run([process.execPath, '--import', 'tsx', `${folder}/${scenario}.ts`, ...args])
      if (code !== 0) throw new Stop(`${scenario} failed (see above).`)
    })
  }
})
