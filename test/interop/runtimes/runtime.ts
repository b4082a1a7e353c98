/** Bun and Deno by their npm packages, kept in npm's own place for caches, and the built package to run in them. */
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const exec = promisify(execFile)

export interface Runtime {
  readonly name: string
  readonly version: string
  /** Arguments before the program. */
  readonly args: readonly string[]
}

export const runtimes: readonly Runtime[] = [
  { name: 'bun', version: '1.4.5', args: ['run'] },
  { name: 'deno', version: '2.9.6', args: ['run', '--allow-all', '--no-check', '--node-modules-dir=manual'] },
]

/** The runtime's program, installed where it was not; null where it cannot be, for lack of a registry or a build. */
export async function install({ name, version }: Runtime): Promise<string | null> {
  const folder = join(root, 'node_modules/.cache/sluice-runtimes', `${name}-${version}`)
  const program = join(folder, 'node_modules/.bin', name)
  try {
    if (!existsSync(program)) {
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, 'package.json'), '{ "private": true }')
      const install = ['install', '--no-audit', '--no-fund', '--prefer-offline', `${name}@${version}`]
      await exec('npm', install, { cwd: folder, timeout: 180_000 })
    }
    await exec(program, ['--version'])
    return program
  } catch (failure) {
    console.warn(`NOT TESTED in ${name} ${version}, which cannot be installed here: ${String(failure)}`)
    return null
  }
}

/** A folder in which programs find the built package, and its dependencies above. */
export async function buildPackage(): Promise<{ readonly folder: string; remove(): Promise<void> }> {
  const parent = join(root, '.play')
  await mkdir(parent, { recursive: true })
  const folder = await mkdtemp(join(parent, 'runtimes-'))
  const packed = join(folder, 'node_modules/trpc-sluice')
  await mkdir(packed, { recursive: true })
  await cp(join(root, 'package.json'), join(packed, 'package.json'))
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
  await cp(join(root, 'test/interop/runtimes/server.ts'), join(folder, 'server.ts'))
  await exec(process.execPath, ['scripts/build.mjs', join(packed, 'dist')], { cwd: root })
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** Starts the program there; settles when it listens. */
export function start(program: string, { args }: Runtime, folder: string): Promise<RunningServer> {
  const child = spawn(program, [...args, 'server.ts'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  return new Promise((resolve, reject) => {
    const hear = (text: Buffer) => {
      said += text.toString()
      const port = /listening on (\d+)/.exec(said)?.[1]
      if (port) resolve({ url: `http://127.0.0.1:${port}/trpc`, [Symbol.dispose]: () => void child.kill() })
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    child.once('error', reject)
    child.once('exit', () => reject(new Error(`It ended, and said:\n${said}`)))
  })
}

export interface RunningServer extends Disposable {
  readonly url: string
}
