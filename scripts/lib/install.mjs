// Installs the dependencies when they are missing or others than the lockfile says; never when they are fine.
// It runs before there is a node_modules, so it needs nothing but Node and npm.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { npm, root, run } from './run.mjs'
import { say, step, Stop } from './say.mjs'

const oldestNode = [20, 19]

/** @param folder the folder of a package.json with its lockfile, relative to the root. */
export async function install(folder = '.') {
  checkNode()
  const cwd = join(root, folder)
  const what = folder === '.' ? 'dependencies' : `dependencies of ${folder}`
  const missing = missingIn(cwd)
  if (missing === null) return
  say(`  ${missing}`)
  await step(`Installing the ${what}`, async () => {
    const code = await run(npm('ci', '--no-audit', '--no-fund'), { cwd })
    if (code !== 0) {
      throw new Stop(`npm ci failed in ${cwd} (see above). It needs the npm registry or a filled npm cache.`)
    }
  })
}

/** Installs all that the tests need. */
export async function installForTests() {
  await install()
  const newest = 'test/interop/newest'
  if (existsSync(join(root, newest, 'package.json'))) await install(newest)
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1])) return
  throw new Stop(`This is Node ${process.versions.node}; Sluice needs ${oldestNode.join('.')} or newer.`)
}

/** Why an install is needed, in a sentence; null if it is not. npm keeps a lockfile of what it has installed. */
function missingIn(cwd) {
  const wanted = packagesOf(join(cwd, 'package-lock.json'))
  const present = packagesOf(join(cwd, 'node_modules/.package-lock.json'))
  if (!wanted) throw new Stop(`There is no package-lock.json in ${cwd}: is this a whole clone?`)
  if (!present) return 'Nothing is installed yet.'
  for (const [path, { version, optional, devOptional, peer }] of Object.entries(wanted)) {
    // Builds for other platforms are in the lockfile, and not on the disk.
    const mayBeAbsent = optional || devOptional || peer
    if (path === '' || (mayBeAbsent && !present[path])) continue
    if (present[path]?.version !== version) {
      return `${path} should be ${version}, and is ${present[path]?.version ?? 'not there'}.`
    }
  }
  return null
}

function packagesOf(lockfile) {
  if (!existsSync(lockfile)) return null
  return JSON.parse(readFileSync(lockfile, 'utf8')).packages
}
