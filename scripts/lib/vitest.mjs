// Runs the tests of one project of vitest.config.ts, and counts them.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run, tool } from './run.mjs'

/**
 * @param project its name: unit, integration, browser.
 * @param args passed on to vitest.
 * @returns how many passed, failed and were skipped; what broke before it was counted counts as one that failed.
 */
export async function runTests(project, { args = [], env = {} } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'))
  try {
    const file = join(folder, 'report.json')
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
    const code = await run(tool('vitest', 'run', '--project', project, ...reporters, ...args), { env })
    return await count(file, code)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function count(file, code) {
  const broken = { passed: 0, failed: 1, skipped: 0 }
  const text = await readFile(file, 'utf8').catch(() => null) // vitest itself did not get so far
  if (text === null) return broken
  const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } = JSON.parse(text)
  // A file that does not load, or an error outside of any test, fails the run without failing a test.
  return { passed, failed: code === 0 ? failed : Math.max(1, failed), skipped }
}
