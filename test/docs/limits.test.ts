/** docs/limits.md is compared with the source. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { errorTable } from '../../shared/errors.ts'
import { Limits } from '../../server/session/limits.ts'

const page = readFileSync(new URL('../../docs/limits.md', import.meta.url), 'utf8')
const rows = [...page.matchAll(/^\| `(\w+)` \| ([^|]+) \|.*\| (?:`(\w+)` )?\|$/gm)]

const units: Readonly<Record<string, number>> = { KiB: 1024, MiB: 1024 ** 2, s: 1_000, min: 60_000 }

/** `64 KiB` is 65,536; what is no number is no default of its own. */
function toDefault(text: string): number | undefined {
  const [, number, unit] = /^([\d,]+)(?: (\w+))?$/.exec(text) ?? []
  if (number === undefined) return undefined
  return Number(number.replaceAll(',', '')) * (unit === undefined ? 1 : (units[unit] ?? NaN))
}

test('docs/limits.md has each limit with its default, and none that does not exist', () => {
  const told = Object.fromEntries(rows.map(([, name, text = '']) => [name, toDefault(text)]))
  const defaults = Limits.parse({})
  const names = Object.keys(Limits.shape) as (keyof Limits)[]
  expect(told).toEqual(Object.fromEntries(names.map(name => [name, defaults[name]])))
})

test('each code that it names is in the table of errors', () => {
  const codes = Array.from(page.matchAll(/`([A-Z]+(?:_[A-Z]+)+|IDLE|STALLED)`/g), ([, code]) => code ?? '')
  expect(codes.length).toBeGreaterThan(10)
  for (const code of codes) expect(Object.keys(errorTable)).toContain(code)
})
