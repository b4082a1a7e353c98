import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { publint } from 'publint'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const sources = fileURLToPath(new URL('consumer', import.meta.url))

/** What is packed, the tarball, and empty projects that have installed it, with the pinned tRPC and the newest. */
const at = { folder: '', packed: '', tarball: '', consumer: '', newest: '' }

beforeAll(async () => {
  at.folder = await mkdtemp(join(tmpdir(), 'sluice-packaging-'))
  at.packed = join(at.folder, 'package')
  at.consumer = join(at.folder, 'consumer')
  at.newest = join(at.folder, 'newest')
  await pack()
  await installConsumer(at.consumer)
  await installConsumer(at.newest, await readManifest('test/interop/newest/package.json'))
})

afterAll(() => rm(at.folder, { recursive: true, force: true }))

/** Built beside the repository: other tests may be reading its dist. */
async function pack() {
  await mkdir(at.packed)
  for (const name of ['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE', 'docs']) {
    if (existsSync(join(root, name))) await cp(join(root, name), join(at.packed, name), { recursive: true })
  }
  await run(root, process.execPath, 'scripts/build.mjs', join(at.packed, 'dist'))
  const output = await run(at.packed, 'npm', 'pack', '--json', '--ignore-scripts')
  const [{ filename }] = JSON.parse(output) as [{ filename: string }]
  at.tarball = join(at.packed, filename)
}

type Manifest = Record<'dependencies' | 'peerDependencies' | 'devDependencies', Record<string, string>>

async function readManifest(path: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(root, path), 'utf8')) as Manifest
}

/** The versions that this repository has tested with, so that npm's cache has them. */
async function installConsumer(folder: string, others?: Manifest) {
  const { peerDependencies, devDependencies } = await readManifest('package.json')
  const needed = [...Object.keys(peerDependencies), '@types/node', '@types/react']
  const versions = Object.fromEntries(needed.map(name => [name, devDependencies[name]]))
  const dependencies = { ...versions, ...others?.dependencies, 'trpc-sluice': at.tarball }
  await mkdir(folder)
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({ private: true, type: 'module', dependencies }),
  )
  await run(folder, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund')
  await cp(sources, folder, { recursive: true })
}

const compilers = [
  ['TypeScript 7', 'typescript'],
  ['TypeScript 5.9', 'typescript-5'],
] as const
const resolutions = [
  ['bundler', 'esnext'],
  ['nodenext', 'nodenext'],
] as const
const combinations = compilers.flatMap(([compiler, path]) =>
  resolutions.map(([moduleResolution, module]) => [compiler, moduleResolution, path, module] as const),
)

test.each(combinations)(
  'in an empty project, every subpath type-checks under %s with moduleResolution %s',
  async (_, moduleResolution, path, module) => {
    expect(await diagnose(at.consumer, { moduleResolution, path, module })).toEqual([])
  },
)

test('it type-checks with the newest tRPC as well', async () => {
  const diagnostics = await diagnose(at.newest, {
    moduleResolution: 'bundler',
    path: 'typescript',
    module: 'esnext',
  })
  expect(diagnostics).toEqual([])
})

/** What a compiler has to say about the consumer's code and our declarations. */
async function diagnose(
  folder: string,
  { path, ...resolution }: { moduleResolution: string; path: string; module: string },
): Promise<string[]> {
  const config = join(folder, `tsconfig.${path}.${resolution.moduleResolution}.json`)
  const compilerOptions = {
    ...resolution,
    target: 'es2022',
    lib: ['es2023', 'esnext.disposable', 'dom', 'dom.iterable', 'dom.asynciterable'],
    jsx: 'react-jsx',
    strict: true,
    // Our declarations are to be in order themselves, not only where the consumer looks at them.
    skipLibCheck: false,
    noEmit: true,
    pretty: false,
    types: ['node'],
  }
  await writeFile(config, JSON.stringify({ compilerOptions, files: ['types.tsx'] }))
  const tsc = join(root, 'node_modules', path, 'bin/tsc')
  const output = await run(folder, process.execPath, tsc, '-p', config).catch((failure: Error) => {
    if (isDiagnostic(failure.message)) return failure.message
    throw failure
  })
  // @trpc/server's own declarations of its ws adapter do not pass without skipLibCheck (11.19.0).
  return output.split('\n').filter(line => isDiagnostic(line) && !/^node_modules.@trpc/.test(line))
}

const isDiagnostic = (text: string) => text.includes(': error TS')

test('in an empty project, Node runs the package', async () => {
  const output = await run(at.consumer, process.execPath, 'run.mjs', join(at.consumer, 'data'))
  expect(JSON.parse(output)).toEqual({ delivered: 1, missing: [], repeated: [], outOfOrder: [] })
})

test('publint has nothing to say', async () => {
  const { messages } = await publint({ pkgDir: at.packed, level: 'suggestion', strict: true })
  expect(messages).toEqual([])
})

test('the types are those of what is loaded, in the eyes of attw', async () => {
  const attw = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js')
  const output = await run(
    at.packed,
    process.execPath,
    attw,
    at.tarball,
    '--profile',
    'esm-only',
    '--format',
    'json',
  )
  expect(JSON.parse(output)).toMatchObject({ problems: {} })
})

/** What a program prints; a failure is an error with all that it said. */
function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}`, { cause: error }))
      else resolve(stdout)
    })
  })
}
