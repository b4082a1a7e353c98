// npm run dev: the showcase against the sources. The server restarts and the page reloads when a file changes.
import { install } from './lib/install.mjs'
import { run, tool } from './lib/run.mjs'
import { main, say } from './lib/say.mjs'

// Told to both: the page hands its requests on to the server.
const port = process.env.PORT || '3000'

await main(async () => {
  await install()
  say('▸ Starting the server and the page, both with reload; open the page (Local:). Ctrl-C ends both …')
  const server = [process.execPath, '--watch', '--import', 'tsx', 'apps/showcase/server/main.ts']
  const codes = await Promise.all([
    run(server, { env: { PORT: port } }),
    run(tool('vite', 'apps/showcase'), { env: { SHOWCASE_SERVER: `http://127.0.0.1:${port}` } }),
  ])
  process.exitCode = Math.max(...codes)
})
