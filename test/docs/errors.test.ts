import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { errorTable, isFinalCloseCode } from '../../shared/errors.ts'

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')

test('docs/errors.md lists exactly the errors that exist, with what the table says of each', () => {
  const rows = [
    ...page.matchAll(/^\| `([A-Z_]+)` \| (\d+) \| (\d+) \| `([A-Z_]+)` \| (\w+) \| (.+) \|$/gm),
  ].map(([, code, status, close, trpc, retry, help]) => ({
    code,
    entry: { status: Number(status), close: Number(close), trpc, retry, help },
  }))
  expect(Object.fromEntries(rows.map(({ code, entry }) => [code, entry]))).toEqual(errorTable)
  // In the order of the table, for whoever looks one up.
  expect(rows.map(({ code }) => code)).toEqual(Object.keys(errorTable))
})

test('close codes tell their story: 44xx never comes back, 45xx does', () => {
  for (const [code, { close, retry }] of Object.entries(errorTable)) {
    expect(close >= 4400 && close < 4600, code).toBe(true)
    if (close < 4500) expect(retry, code).toBe('never')
    expect(isFinalCloseCode(close), code).toBe(close < 4500)
  }
})
