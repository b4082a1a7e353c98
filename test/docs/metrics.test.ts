/** The table of metrics in the README is compared with the source. */
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

test('each metric is in the README, and none that does not exist', async () => {
  const source = await readFile('server/observe/otel.ts', 'utf8')
  const readme = await readFile('README.md', 'utf8')
  // An instrument's name is followed by its unit, an attribute's by its value.
  const made = Array.from(source.matchAll(/'((?:sluice|nodejs)\.[a-z0-9.]+)', /g), ([, name]) => name)
  const [, table = ''] = readme.split('| metric | attribute |')
  const rows = table.split('\n\n', 1)[0]?.split('\n').slice(2) ?? []
  const told = rows.flatMap(row =>
    Array.from((row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g), ([, name]) => name),
  )
  expect(made.length).toBeGreaterThan(20)
  expect(told.sort()).toEqual(made.sort())
})
