/**
 * One topic, many subscribers: server CPU (user and system) per delivered event, ours beside stock tRPC's adapters in
 * the same run. Server and readers are processes of their own; the next tick is published when the last one has
 * arrived everywhere, so that neither side is measured drowning.
 *
 *     npm run bench -- fanout [--rounds 3] [--seconds 2] [--json figures.json]
 */
import { startChild } from './lib/child.ts'
import type { Carrier, Command, Implementation, LoadCommand, LoadReport, Report } from './lib/messages.ts'
import { compare, options } from './lib/compare.ts'

const measuredMs = options.seconds * 1000

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
  load.tell({ do: 'connect', port, carrier, subscribers, path: 'onEvent', input: null })
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

await compare(
  scenarios.map(scenario => ({
    name: `fan-out, ${scenario.carrier}, ${scenario.subscribers} subscribers, ${scenario.perTick} per tick`,
    measure: implementation => measure(implementation, scenario),
  })),
)
