/** The README's code is extracted, type-checked as one project, and run where it can run by itself. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const exec = promisify(execFile)

interface Snippet {
  readonly file: string
  readonly code: string
  /** What the text block after it says that it prints. */
  readonly prints: string | undefined
}

async function extract(): Promise<Snippet[]> {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const blocks = /^```tsx?\n(\/\/ (\S+)\n[^]*?)^```\n(?:\n```text\n([^]*?)^```\n)?/gm
  return [...readme.matchAll(blocks)].map(([, code = '', file = '', prints]) => ({ file, code, prints }))
}

let folder: string
let snippets: Snippet[]

// Inside the house, so that `trpc-sluice/server` is the source of today.
beforeAll(async () => {
  snippets = await extract()
  await mkdir(join(root, '.play'), { recursive: true })
  folder = await mkdtemp(join(root, '.play', 'readme-'))
  await Promise.all(snippets.map(({ file, code }) => writeFile(join(folder, file), code)))
  const config = { extends: '../../tsconfig.json', include: ['.'] }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const node = (...args: string[]) =>
  exec(process.execPath, ['--import', 'tsx', ...args], { cwd: root, timeout: 30_000 })

test('every block of code in the README names its file', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  expect(snippets).toHaveLength(readme.match(/^```tsx?$/gm)?.length ?? 0)
  expect(new Set(snippets.map(({ file }) => file)).size).toBe(snippets.length)
})

test('the README type-checks', async () => {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const checked = await exec(process.execPath, [tsc, '-p', folder], { cwd: root }).catch(
    (failure: { stdout: string }) => failure,
  )
  expect(checked.stdout).toBe('')
})

test('the example at its head is one of twenty-odd lines', () => {
  expect(snippets[0]?.prints).toBeDefined()
  expect(snippets[0]?.code.trim().split('\n').length).toBeLessThan(30)
})

test('whatever says what it prints runs, and prints that', async () => {
  for (const { file, prints } of snippets.filter(({ prints }) => prints !== undefined)) {
    const { stdout } = await node(relative(root, join(folder, file)))
    expect(stdout).toBe(prints)
  }
})

test("the README's own integration test passes", async () => {
  const { stdout } = await node('--test', relative(root, join(folder, 'room.test.ts')))
  expect(stdout).toMatch(/^# pass 1$/m)
})
