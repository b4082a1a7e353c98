/** A storm as its clients feel it: the connections of all are cut at once, and each comes back for the next event. */
import { startChild } from './lib/child.ts'
import type { HerdCommand, HerdReport } from './lib/client-messages.ts'
import type { Command, Report } from './lib/messages.ts'
import { options } from './lib/options.ts'
import { pairsRow, type Pair } from './lib/pairs.ts'
import type { Scenario } from './lib/scenario.ts'

const clients = 200
const storms = Math.ceil(options.seconds * 6)
/** Until the code is warm: after a few of them a tenth of what is measured is still the compiler's. */
const warmingStorms = 20

async function measure({ link, server: peer }: Pair): Promise<number> {
  await using server = startChild<Command, Report>('./server.ts', { args: [peer, 'cuttable'] })
  await using herd = startChild<HerdCommand, HerdReport>('./herd.ts', { args: [link] })
  const [{ port }] = await Promise.all([server.hear('ready'), herd.hear('listening')])
  await herd.ask({ do: 'connect', port, clients }, 'connected')

  let published = 0
  /** What it takes them until each has the event that is published after something has happened. */
  const next = async (happens: () => void) => {
    await herd.ask({ do: 'expect', events: 1 }, 'expecting')
    const received = herd.hear('received')
    happens()
    server.tell({ do: 'tick', events: 1 })
    published += 1
    return (await received).cpuMicros
  }
  const storm = () => next(() => server.tell({ do: 'cut' }))

  await next(() => {}) // from now on they have something to resume from
  for (let i = 0; i < warmingStorms; i++) await storm()
  let cpuMicros = 0
  for (let i = 0; i < storms; i++) cpuMicros += await storm()

  const { events } = await herd.ask({ do: 'count' }, 'total')
  const sent = published * clients
  if (events !== sent) throw new Error(`${events} events have arrived of ${sent} sent.`)
  return cpuMicros / (storms * clients)
}

const stock = { link: 'wsLink', server: 'stock' } as const
const name = `reconnect storm of ${clients} clients`

const row = (what: string, pairs: Parameters<typeof pairsRow>[1]) =>
  pairsRow(`${name}, ${what}`, pairs, measure)

export default {
  what: 'Client CPU per reconnect, until the next event has arrived, in µs',
  rows: [
    row('all at once, each link on its own server; floor: `ws` and JSON on ours', {
      stock,
      sluice: { link: 'sluiceLink, websocket, at once', server: 'sluice' },
      floor: { link: 'ws', server: 'sluice' },
    }),
    row('all at once, both links on a stock server', {
      stock,
      sluice: { link: 'sluiceLink, websocket, at once', server: 'stock' },
    }),
    row('each link at its own pace and on its own server', {
      stock,
      sluice: { link: 'sluiceLink, websocket', server: 'sluice' },
    }),
  ],
} satisfies Scenario
