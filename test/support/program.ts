/**
 * Programs of ours that tests start as processes of their own, some of them by the dozen. Each is put together once in a
 * test file that needs it: a start then takes 0.26 s of CPU, and by tsx 0.85 s (Node 20).
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { afterAll } from 'vitest'

export interface Program {
  /** The file that Node can run. */
  readonly path: string
  start(...args: readonly string[]): Running
}

/** One that was started; killed with its block. What it writes to its standard error shows. */
export interface Running extends AsyncDisposable {
  /** What it has printed so far. */
  readonly printed: string
  readonly hasEnded: boolean
  /** Settles when it has ended, and all that it printed has come. @returns its exit code; null when it was killed. */
  ended(): Promise<number | null>
  /** The port that a server prints when it listens. */
  port(): Promise<number>
  kill(signal: NodeJS.Signals): void
}

/**
 * To be called at the top of a module: the file goes with the tests.
 *
 * @param url of the program's source.
 */
export async function loadProgram(url: URL): Promise<Program> {
  // Inside the house, so that the program finds its packages.
  const home = fileURLToPath(new URL('../../.play', import.meta.url))
  await mkdir(home, { recursive: true })
  const folder = await mkdtemp(join(home, 'program-'))
  afterAll(() => rm(folder, { recursive: true }))
  await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { tsconfigPaths: true },
    build: {
      ssr: fileURLToPath(url),
      outDir: folder,
      target: 'node20',
      rolldownOptions: { output: { entryFileNames: 'program.mjs' } },
    },
  })
  const path = join(folder, 'program.mjs')
  return { path, start: (...args) => start(path, args) }
}

function start(path: string, args: readonly string[]): Running {
  const child = spawn(process.execPath, [path, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text))
  const closed = once(child, 'close') as Promise<[number | null]>
  return {
    get printed() {
      return printed
    },
    get hasEnded() {
      return child.exitCode !== null || child.signalCode !== null
    },
    async ended() {
      const [code] = await closed
      return code
    },
    async port() {
      await Promise.race([once(child.stdout, 'data'), closed])
      if (printed === '') throw new Error(`The server ended with code ${child.exitCode} before it listened.`)
      return Number(printed)
    },
    kill: signal => void child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await closed
    },
  }
}
