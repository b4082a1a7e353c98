// Runs other programs, from the root of the repository, and passes on their ends.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** A tool that the repository has installed, as a command line for `run`. */
export const tool = (name, ...args) => [process.execPath, binaryOf(name), ...args]

// The scripts behind node_modules/.bin, by path: so that no shell is needed and a signal reaches the tool itself.
const binaries = {
  knip: 'knip/bin/knip.js',
  oxfmt: 'oxfmt/bin/oxfmt',
  oxlint: 'oxlint/bin/oxlint',
  'playwright-core': 'playwright-core/cli.js',
  tsc: 'typescript/bin/tsc',
  vite: 'vite/bin/vite.js',
  vitest: 'vitest/vitest.mjs',
}
const binaryOf = name => fileURLToPath(new URL(`../../node_modules/${binaries[name]}`, import.meta.url))

const running = new Set()

// Signals are passed on, and this process ends when its children have. In a terminal, Ctrl-C has reached them already:
// a second one would be taken for impatience.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (running.size === 0) process.exit(1)
    if (signal === 'SIGINT' && process.stdin.isTTY) return
    for (const child of running) child.kill(signal)
  })
}

/**
 * Runs a command with the terminal's input and output.
 * @returns its exit code; 1 if a signal ended it.
 */
export async function run([command, ...args], { env = {}, cwd = root } = {}) {
  return await end(start(command, args, { cwd, env, stdio: 'inherit' }))
}

/**
 * Runs a command and keeps what it prints.
 * @returns its exit code and its output, both streams in one.
 */
export async function capture([command, ...args], { env = {}, cwd = root, timeoutMs } = {}) {
  const child = start(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', text => (output += text))
  }
  return { code: await end(child), output }
}

function start(command, args, { env, ...options }) {
  const child = spawn(command, args, { ...options, env: { ...process.env, ...env } })
  running.add(child)
  return child
}

function end(child) {
  return new Promise((resolve, reject) => {
    child.once('error', error => {
      running.delete(child)
      reject(error)
    })
    child.once('close', code => {
      running.delete(child)
      resolve(code ?? 1)
    })
  })
}

// npm by the path that npm itself gives its scripts; outside of npm, from the PATH.
const npmPath = process.env.npm_execpath
export const npm = (...args) => (npmPath ? [process.execPath, npmPath, ...args] : ['npm', ...args])
