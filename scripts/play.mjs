// npm run play: runs .play/scratch.ts, with a server and a client at hand, and again when it changes.
import { existsSync } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { install } from './lib/install.mjs'
import { root, run } from './lib/run.mjs'
import { main, say } from './lib/say.mjs'

const scratch = '.play/scratch.ts'

await main(async () => {
  await install()
  if (!existsSync(join(root, scratch))) {
    await mkdir(join(root, '.play'), { recursive: true })
    await copyFile(join(root, 'scripts/templates/scratch.ts'), join(root, scratch))
    say(`✓ Wrote ${scratch}; git does not see it.`)
  }
  say(`▸ Running ${scratch} at each change; Ctrl-C ends it …`)
  process.exitCode = await run([process.execPath, '--watch', '--import', 'tsx', scratch])
})
