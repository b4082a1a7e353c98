// A Chromium for the browser tests: one that is there, else playwright's, else Debian's package.
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { installFromDebian } from './debian.mjs'
import { capture, run, tool } from './run.mjs'
import { say, step, Stop } from './say.mjs'

const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome']

const help = `No Chromium could be found or installed, and the browser tests need one. Do one of these, and try again:
    - install Chromium or Chrome so that it is on the PATH (Debian: sudo apt-get install chromium)
    - npx playwright-core install chromium
    - set CHROMIUM_PATH to the program`

/**
 * The path of a Chromium that starts; installs one if there is none.
 * @throws Stop that says what to do if none can be had: the browser tests are never skipped.
 */
export async function provideChromium() {
  const present = await findChromium()
  if (present) return present
  const installed = (await fromPlaywright()) ?? (await fromDebian())
  if (installed) return installed
  throw new Stop(help)
}

/** The path of a Chromium that is there and starts; null if there is none. */
async function findChromium() {
  const given = process.env.CHROMIUM_PATH
  if (given) {
    if (await starts(given)) return given
    throw new Stop(`CHROMIUM_PATH is ${given}, and that does not start. Correct it, or unset it.`)
  }
  for (const path of [...onPath(), await playwrightPath()]) if (await starts(path)) return path
  return null
}

function onPath() {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin']
  return names.flatMap(name => folders.map(folder => join(folder, name)))
}

/** Where playwright keeps, or would keep, its own. */
async function playwrightPath() {
  const { chromium } = await import('playwright-core')
  return chromium.executablePath()
}

/** Being there is not enough: its libraries may be missing. */
async function starts(path) {
  if (!existsSync(path)) return false
  const { code, output } = await capture([path, '--version'], { timeoutMs: 20_000 })
  if (code !== 0) say(`  ${path} is there and does not start: ${output.trim().split('\n').at(-1)}`)
  return code === 0
}

async function fromPlaywright() {
  return await step("Looking for playwright's Chromium", async () => {
    const code = await run(tool('playwright-core', 'install', 'chromium'))
    const path = await playwrightPath()
    return code === 0 && (await starts(path)) ? path : null
  })
}

async function fromDebian() {
  await installFromDebian('chromium')
  return (await starts('/usr/bin/chromium')) ? '/usr/bin/chromium' : null
}
