// An nginx for the tests of what stands between client and server: one that is there, else Debian's package.
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { installFromDebian } from './debian.mjs'
import { capture } from './run.mjs'
import { Stop } from './say.mjs'

/**
 * The path of an nginx that starts; installs one if there is none.
 * @throws Stop that says what to do if none can be had: its tests are never skipped.
 */
export async function provideNginx() {
  const present = await findNginx()
  if (present) return present
  await installFromDebian('nginx-light')
  const installed = await findNginx()
  if (installed) return installed
  throw new Stop(`No nginx could be found or installed, and the tests through a proxy need one. Do one of these, and try again:
    - install nginx so that it is on the PATH (Debian: sudo apt-get install nginx-light)
    - set NGINX_PATH to the program`)
}

async function findNginx() {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
  const given = process.env.NGINX_PATH
  for (const path of given ? [given] : folders.map(folder => join(folder, 'nginx'))) {
    if (!existsSync(path)) continue
    const { code } = await capture([path, '-v'], { timeoutMs: 20_000 })
    if (code === 0) return path
  }
  return null
}
