import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { Scope } from '../../shared/scope.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

const refused = [
  ['shared/protocol/cursor.ts', '../../server/sluice.ts'],
  ['shared/errors.ts', '../client/link.ts'],
  ['shared/errors.ts', 'trpc-sluice/server'],
  ['client/link.ts', '../server/sluice.ts'],
  ['client/connection/network.ts', 'node:os'],
  ['client/transports/websocket.ts', 'ws'],
  ['client/transports/websocket.ts', '../../shared/codec/msgpack.ts'],
  ['client/transports/websocket.ts', '../../shared/codec/protobuf.ts'],
  ['client/link.ts', '../test/kit/index.ts'],
  ['server/sluice.ts', '../client/link.ts'],
  ['server/sluice.ts', '@trpc/client'],
  ['server/carriers/ws.ts', '../stores/memory.ts'],
  ['server/carriers/ws.ts', '../topics/hub.ts'],
  ['server/session/session.ts', '../carriers/ws.ts'],
  ['server/session/session.ts', '../../client/link.ts'],
  ['server/procedures/call.ts', '../session/session.ts'],
  ['server/procedures/call.ts', '../sluice.ts'],
  ['server/topics/hub.ts', '../procedures/call.ts'],
  ['server/topics/runs/run.ts', '../../session/session.ts'],
  ['server/topics/hub.ts', '../../client/link.ts'],
  ['server/stores/memory.ts', '../topics/hub.ts'],
  ['server/stores/lmdb/store.ts', '../../topics/hub.ts'],
  ['server/stores/memory.ts', '@trpc/server'],
  ['server/stores/memory.ts', '../../client/link.ts'],
  ['test/kit/harness.ts', 'vitest'],
] as const

const allowed = [
  ['shared/iterate/stream-of.ts', '@trpc/server'],
  ['client/link.ts', '../shared/errors.ts'],
  ['client/link.ts', '../shared/codec/codec.ts'],
  ['client/link.ts', '@trpc/server/observable'],
  ['server/carriers/ws.ts', '../session/session.ts'],
  ['server/session/session.ts', '../procedures/call.ts'],
  ['server/procedures/call.ts', '../topics/hub.ts'],
  ['server/topics/hub.ts', '../stores/store.ts'],
  ['server/stores/lmdb/store.ts', '../../../shared/errors.ts'],
  ['test/kit/harness.ts', '../../server/serve.ts'],
] as const

test('imports go down the picture only, and lint refuses the others', async () => {
  await using scope = new Scope()
  const folder = await mkdtemp(join(tmpdir(), 'sluice-house-'))
  scope.defer(() => rm(folder, { recursive: true, force: true }))
  await cp(join(root, '.oxlintrc.json'), join(folder, '.oxlintrc.json'))

  // All in one run: each import in a file of its own, beside where the real one is.
  const cases = [...refused, ...allowed].map(([from, to], index) => ({
    file: join(dirname(from), `case-${index}.ts`),
    said: `${from} imports ${to}`,
    to,
  }))
  for (const { file, to } of cases) {
    await mkdir(join(folder, dirname(file)), { recursive: true })
    await writeFile(join(folder, file), `import '${to}'\n`)
  }
  const output = await lint(folder)
  const found = cases.filter(({ file }) => output.includes(`${file}: no-restricted-imports`))
  expect(found.map(({ said }) => said)).toEqual(refused.map(([from, to]) => `${from} imports ${to}`))
})

/** One line for each finding: the file and the rule. */
async function lint(folder: string): Promise<string> {
  const binary = join(root, 'node_modules/oxlint/bin/oxlint')
  const text = await new Promise<string>(resolve => {
    // It exits with 1 when it finds something, which it should.
    execFile(process.execPath, [binary, '--format=json'], { cwd: folder }, (_, stdout) => resolve(stdout))
  })
  const { diagnostics } = JSON.parse(text) as { diagnostics: { code: string; filename: string }[] }
  return diagnostics
    .map(({ code, filename }) => `${filename}: ${/\((.*)\)/.exec(code)?.[1] ?? code}`)
    .join('\n')
}
