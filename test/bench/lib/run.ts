/** Runs scenarios, one after the other, prints what they give, and keeps the figures as JSON. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { bestPeer, compare, ratios, type Figures, type Result } from './compare.ts'
import { options, output } from './options.ts'
import { peers, type PeerName } from './peer.ts'
import type { Scenario } from './scenario.ts'
import { figure, formatTable, median, spread } from './table.ts'

const times = (values: readonly number[]) => (values.length === 0 ? '–' : `${figure(median(values))}×`)

function printRow({ name, figures }: Result): void {
  const lines = Object.entries(figures).map(([peer, values]) => [
    peers[peer as PeerName],
    figure(median(values)),
    spread(values),
    times(ratios(figures, values)),
  ])
  console.log(`\n${formatTable([name, 'median', 'min–max', 'stock ÷ it'], lines)}`)
}

function summarize(results: readonly Result[]): string {
  const cell = (values: Figures[PeerName]) => (values ? figure(median(values)) : '–')
  return formatTable(
    ['scenario', 'stock tRPC', 'best peer', 'floor', 'Sluice', 'own generator', 'stock ÷ Sluice', 'min–max'],
    results.map(({ name, figures }) => {
      const best = bestPeer(figures)
      const ratio = ratios(figures, figures.sluice)
      return [
        name,
        cell(figures.stock),
        best ? `${peers[best]} ${cell(figures[best])}` : '–',
        cell(figures.floor),
        cell(figures.sluice),
        cell(figures.generator),
        times(ratio),
        spread(ratio),
      ]
    }),
  )
}

const about = `${options.rounds} rounds, Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`
const summaries: string[] = []
mkdirSync(output, { recursive: true })
for (const name of options.scenarios) {
  const { default: scenario } = (await import(`../${name}.ts`)) as { default: Scenario }
  console.log(`\n▸ ${name}: ${scenario.what}`)
  const results: Result[] = []
  for (const row of scenario.rows.filter(row => row.name.includes(options.only))) {
    const result = await compare(row, options)
    printRow(result)
    results.push(result)
  }
  const { what } = scenario
  writeFileSync(new URL(`${name}.json`, output), JSON.stringify({ what, about, results }, null, 2))
  summaries.push(`${what}\n\n${summarize(results)}`)
}
console.log(`\nMedians of ${about}. Only the ratios carry over to another machine.\n`)
console.log(summaries.join('\n\n'))
