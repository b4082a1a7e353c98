import { fileURLToPath } from 'node:url'
import { build, type Rolldown } from 'vite'
import { expect, test } from 'vitest'

test('a page whose link has no codec loads none', async () => {
  const built = await build({
    configFile: false,
    logLevel: 'warn',
    build: {
      write: false,
      minify: false,
      rolldownOptions: {
        input: fileURLToPath(new URL('../../../client/index.ts', import.meta.url)),
        preserveEntrySignatures: 'strict',
      },
    },
  })
  // One entry and no watching give one output.
  const { output } = built as Rolldown.RolldownOutput
  const modules = output.flatMap(chunk => (chunk.type === 'chunk' ? chunk.moduleIds : []))
  expect(modules.some(id => id.endsWith('client/link.ts'))).toBe(true)
  expect(modules.filter(id => /msgpack|protobuf|@bufbuild/.test(id))).toEqual([])
})
