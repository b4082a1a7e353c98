// What can be said about the sources without running them: quick, and all at once.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { capture, root, tool } from './run.mjs'
import { say, Stop } from './say.mjs'

const checks = {
  types: () => capture(tool('tsc')),
  lint: () => capture(tool('oxlint')),
  format: () => capture(tool('oxfmt', '--check')),
  'dead code': () => capture(tool('knip')),
  duplicates: findDuplicates,
}

/**
 * Runs all checks in parallel, and more if given, and reports each.
 * @param more checks by name, each giving an exit code and its output.
 * @throws Stop if any failed, after all have been reported.
 */
export async function checkHouse(more = {}) {
  const all = Object.entries({ ...checks, ...more })
  const failed = await Promise.all(all.map(([name, check]) => report(name, check)))
  const names = failed.filter(Boolean)
  if (names.length > 0) throw new Stop(`Not in order: ${names.join(', ')} (see above).`)
}

async function report(name, check) {
  const started = performance.now()
  const { code, output } = await check()
  const took = `(${((performance.now() - started) / 1000).toFixed(1)} s)`
  if (code === 0) {
    say(`✓ ${name} ${took}`)
    return null
  }
  say(`✗ ${name} ${took}\n${output.trim()}\n`)
  return name
}

/** What users get must not come twice: two versions of one package are two of every class in it. */
async function findDuplicates() {
  const { packages } = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8'))
  const { dependencies, peerDependencies } = packages['']
  const ours = Object.keys({ ...dependencies, ...peerDependencies })
  const output = ours
    .map(name => ({ name, versions: versionsOf(name, packages) }))
    .filter(({ versions }) => versions.length > 1)
    .map(({ name, versions }) => `${name} is installed as ${versions.join(' and ')}: see npm ls ${name}`)
    .join('\n')
  return { code: output === '' ? 0 : 1, output }
}

function versionsOf(name, packages) {
  const copies = Object.entries(packages).filter(([path]) => path.endsWith(`node_modules/${name}`))
  return [...new Set(copies.map(([, { version }]) => version))]
}
