/**
 * One reader of one plain generator, which never waits: a file, a fast model. Server CPU per delivered event, ours
 * beside stock tRPC's adapters in the same run.
 *
 *     npm run bench -- single [--rounds 3] [--seconds 2] [--json figures.json]
 */
import { startChild } from './lib/child.ts'
import { compare, options } from './lib/compare.ts'
import type { Carrier, Command, Implementation, LoadCommand, LoadReport, Report } from './lib/messages.ts'

/** About what stock tRPC delivers in the time. */
const events = Math.ceil(options.seconds * 20_000)

async function measure(implementation: Implementation, carrier: Carrier): Promise<number> {
  await using server = startChild<Command, Report>('./server.ts', implementation)
  await using load = startChild<LoadCommand, LoadReport>('./load.ts')
  const [{ port }] = await Promise.all([server.hear('ready'), load.hear('listening')])
  const read = async (events: number) => {
    const arrived = load.hear('arrived')
    load.tell({ do: 'expect', events })
    load.tell({ do: 'connect', port, carrier, subscribers: 1, path: 'flood', input: { events } })
    await arrived
  }
  await read(events / 2) // until the code is warm
  server.tell({ do: 'start' })
  await read(events)
  const spent = server.hear('spent')
  server.tell({ do: 'stop' })
  return (await spent).cpuMicros / events
}

await compare(
  (['websocket', 'sse'] as const).map(carrier => ({
    name: `one generator, one reader, ${carrier}`,
    measure: implementation => measure(implementation, carrier),
  })),
)
