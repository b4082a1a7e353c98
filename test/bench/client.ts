/** What receiving costs: one subscription of small events that come as fast as they can, by one link. */
import { startChild } from './lib/child.ts'
import type { ClientCommand, ClientReport } from './lib/client-messages.ts'
import type { Command, Report } from './lib/messages.ts'
import { options } from './lib/options.ts'
import { pairsRow, type Pair } from './lib/pairs.ts'
import type { Scenario } from './lib/scenario.ts'

const events = Math.ceil(options.seconds * 20_000)

async function measure({ link, server: peer }: Pair): Promise<number> {
  await using server = startChild<Command, Report>('./server.ts', { args: [peer] })
  await using client = startChild<ClientCommand, ClientReport>('./client.ts', { args: [link] })
  const [{ port }] = await Promise.all([server.hear('ready'), client.hear('listening')])
  await client.ask({ port, events: events / 2 }, 'read') // until the code is warm
  const { cpuMicros } = await client.ask({ port, events }, 'read')
  return cpuMicros / events
}

const row = (name: string, pairs: Parameters<typeof pairsRow>[1]) => pairsRow(name, pairs, measure)

const stock = { link: 'wsLink', server: 'stock' } as const
const stockSse = { link: 'httpSubscriptionLink', server: 'stock' } as const

export default {
  what: 'Client CPU per received event, in µs',
  rows: [
    row('websocket: each link on its own server; floor: `ws` and JSON on ours', {
      stock,
      sluice: { link: 'sluiceLink, websocket', server: 'sluice' },
      floor: { link: 'ws', server: 'sluice' },
    }),
    row('websocket: both links on a stock server', {
      stock,
      sluice: { link: 'sluiceLink, websocket', server: 'stock' },
    }),
    row('sse: each link on its own server', {
      stock: stockSse,
      sluice: { link: 'sluiceLink, sse', server: 'sluice' },
    }),
    row('sse: both links on a stock server', {
      stock: stockSse,
      sluice: { link: 'sluiceLink, sse', server: 'stock' },
    }),
  ],
} satisfies Scenario
