/**
 * One topic, many subscribers: server CPU (user and system) per delivered event, ours beside stock tRPC's adapters in
 * the same run. Server and readers are processes of their own; the next tick is published when the last one has
 * arrived everywhere, so that neither side is measured drowning.
 *
 *     npm run bench -- fanout [--rounds 3] [--seconds 2] [--json figures.json]
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { startChild } from './lib/child.ts'
import type { Carrier, Command, Implementation, LoadCommand, LoadReport, Report } from './lib/messages.ts'
import { figure, formatTable, median } from './lib/table.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    json: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
const measuredMs = Number(values.seconds) * 1000

interface Scenario {
  readonly carrier: Carrier
  readonly subscribers: number
  readonly perTick: number
}

const scenarios: Scenario[] = (['websocket', 'sse'] as const).flatMap(carrier =>
  [100, 1000].flatMap(subscribers => [1, 32].map(perTick => ({ carrier, subscribers, perTick }))),
)

/** Server CPU per delivered event, in microseconds. */
async function measure(
  implementation: Implementation,
  { carrier, subscribers, perTick }: Scenario,
): Promise<number> {
  await using server = startChild<Command, Report>('./server.ts', implementation)
  await using load = startChild<LoadCommand, LoadReport>('./load.ts')
  const [{ port }] = await Promise.all([server.hear('ready'), load.hear('listening')])
  load.tell({ do: 'connect', port, carrier, subscribers })
  await load.hear('connected')

  const tick = async () => {
    const arrived = load.hear('arrived')
    load.tell({ do: 'expect', events: subscribers * perTick })
    server.tell({ do: 'tick', events: perTick })
    await arrived
  }
  const runFor = async (ms: number) => {
    let ticks = 0
    for (const until = Date.now() + ms; Date.now() < until; ticks++) await tick()
    return ticks
  }
  await runFor(measuredMs / 2) // until the code is warm
  server.tell({ do: 'start' })
  const ticks = await runFor(measuredMs)
  const spent = server.hear('spent')
  server.tell({ do: 'stop' })
  return (await spent).cpuMicros / (ticks * perTick * subscribers)
}

const results = []
for (const scenario of scenarios) {
  const figures: Record<Implementation, number[]> = { stock: [], sluice: [] }
  for (let round = 0; round < rounds; round++) {
    for (const implementation of ['stock', 'sluice'] as const) {
      figures[implementation].push(await measure(implementation, scenario))
    }
  }
  const ratio = median(figures.stock) / median(figures.sluice)
  results.push({ ...scenario, ...figures, ratio })
  console.log(
    `${scenario.carrier}, ${scenario.subscribers} subscribers, ${scenario.perTick} per tick: ${figure(ratio)} times less CPU than stock`,
  )
}

const spread = (values: readonly number[]) =>
  `${figure(median(values))} (${figure(Math.min(...values))}–${figure(Math.max(...values))})`
console.log(
  `\nServer CPU per delivered event in µs: median (spread) of ${rounds} rounds, Node ${process.version}\n`,
)
console.log(
  formatTable(
    ['fan-out', 'stock tRPC', 'Sluice', 'ratio'],
    results.map(({ carrier, subscribers, perTick, stock, sluice, ratio }) => [
      `${carrier}, ${subscribers} subscribers, ${perTick} per tick`,
      spread(stock),
      spread(sluice),
      `${figure(ratio)}×`,
    ]),
  ),
)
if (values.json) writeFileSync(values.json, JSON.stringify({ node: process.version, results }, null, 2))
