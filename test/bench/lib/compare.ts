/** Runs scenarios for stock tRPC and for us, in turn and several times, and prints them side by side. */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Implementation } from './messages.ts'
import { figure, formatTable, median } from './table.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    json: { type: 'string' },
  },
})

/** What every bench takes: `--rounds 3 --seconds 2 --json figures.json`. */
export const options = { rounds: Number(values.rounds), seconds: Number(values.seconds) }

export interface Comparison {
  readonly name: string
  /** Server CPU (user and system) per delivered event, in microseconds. */
  readonly measure: (implementation: Implementation) => Promise<number>
}

export async function compare(comparisons: readonly Comparison[]): Promise<void> {
  const results = []
  for (const { name, measure } of comparisons) {
    const figures: Record<Implementation, number[]> = { stock: [], sluice: [] }
    // In turn, so that a machine whose speed drifts does it to both.
    for (let round = 0; round < options.rounds; round++) {
      for (const implementation of ['stock', 'sluice'] as const) {
        figures[implementation].push(await measure(implementation))
      }
    }
    const ratio = median(figures.stock) / median(figures.sluice)
    results.push({ name, ...figures, ratio })
    console.log(`${name}: ${figure(ratio)} times less CPU than stock`)
  }
  console.log(
    `\nServer CPU per delivered event in µs: median (spread) of ${options.rounds} rounds, Node ${process.version}\n`,
  )
  console.log(
    formatTable(
      ['scenario', 'stock tRPC', 'Sluice', 'ratio'],
      results.map(({ name, stock, sluice, ratio }) => [
        name,
        spread(stock),
        spread(sluice),
        `${figure(ratio)}×`,
      ]),
    ),
  )
  if (values.json) writeFileSync(values.json, JSON.stringify({ node: process.version, results }, null, 2))
}

function spread(values: readonly number[]): string {
  return `${figure(median(values))} (${figure(Math.min(...values))}–${figure(Math.max(...values))})`
}
