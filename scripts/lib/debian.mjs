// Programs that the tests need and npm does not have, as packages of Debian.
import { existsSync } from 'node:fs'
import { run } from './run.mjs'
import { step } from './say.mjs'

/** Installs a package, where that can be done without asking anybody: as root on Debian and its kin. */
export async function installFromDebian(name) {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return
  await step(`Installing Debian's ${name}`, async () => {
    // A server that comes with a package is not to be started: a test starts its own.
    const env = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
    await run(['apt-get', 'update'], { env })
    await run(['apt-get', 'install', '-y', '--no-install-recommends', name], { env })
  })
}
