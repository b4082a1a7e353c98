// npm test: everything, from a fresh clone on. What is missing is installed; the first stage that fails is the last.
// Arguments go to vitest: npm test -- test/promises -t 'a subscriber'
import { buildPackage, buildShowcase } from './lib/build.mjs'
import { provideChromium } from './lib/chromium.mjs'
import { checkHouse } from './lib/house.mjs'
import { installForTests } from './lib/install.mjs'
import { provideNginx } from './lib/nginx.mjs'
import { main, say, step, Stop } from './lib/say.mjs'
import { runTests } from './lib/vitest.mjs'

const args = process.argv.slice(2)
const total = { passed: 0, failed: 0, skipped: 0 }

await main(async () => {
  await installForTests()
  const chromium = await step('Finding a Chromium', provideChromium)
  const nginx = await step('Finding an nginx', provideNginx)
  say(`  ${chromium}, ${nginx}`)
  const programs = { CHROMIUM_PATH: chromium, NGINX_PATH: nginx }
  await step('Checking types, lint, format, dead code and duplicates', () => checkHouse())
  await buildPackage()
  await buildShowcase()
  for (const project of ['unit', 'integration', 'browser']) await test(project, programs)
  // A filter leaves tests out on purpose; without one, every test must run.
  if (total.skipped > 0 && args.length === 0) throw new Stop(`${total.skipped} tests were skipped.`)
})

// The last line, whatever happened before.
say(`${total.passed} passed, ${total.failed} failed`)

async function test(project, programs) {
  await step(`Running the ${project} tests`, async () => {
    // With a filter, a project may well have none.
    const filter = args.length === 0 ? [] : ['--passWithNoTests', ...args]
    const counts = await runTests(project, { args: filter, env: programs })
    for (const key of Object.keys(total)) total[key] += counts[key]
    if (counts.failed > 0) throw new Stop(`${counts.failed} of the ${project} tests failed (see above).`)
  })
}
