// npm start: the showcase, from a fresh clone on. PORT, HOST, DATA_DIR and OPENAI_* are read by its server.
import { buildPackage, buildShowcase } from './lib/build.mjs'
import { install } from './lib/install.mjs'
import { run } from './lib/run.mjs'
import { main, say } from './lib/say.mjs'

await main(async () => {
  await install()
  await buildPackage()
  await buildShowcase()
  say('▸ Starting the showcase; Ctrl-C ends it …')
  const server = [process.execPath, '--import', 'tsx', 'apps/showcase/server/main.ts']
  process.exitCode = await run(server, { env: { NODE_ENV: 'production' } })
})
