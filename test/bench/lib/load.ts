/** The readers, as a process of its own: bare sockets, so that they are not what is measured. */
import { mark } from './mark.ts'
import { Line } from './line.ts'
import type { LoadCommand, LoadReport } from './messages.ts'
import type { Opening } from './peer.ts'
import { closeFrame } from './requests.ts'

/** How many connect at a time: fewer than a server's backlog takes. */
const abreast = 50

const send = (report: LoadReport) => process.send?.(report)

let expected = 0
let total = 0

function arrive(events: number): void {
  total += events
  if (total === expected) send({ is: 'arrived' })
}

async function connect(port: number, { request, hello = [], deflated }: Opening): Promise<Line> {
  const line = new Line(port)
  line.write(request.say)
  await line.hear(request.hear ?? '\r\n\r\n')
  if (deflated) line.inflate()
  for (const words of hello) await line.exchange(words, 0)
  return line
}

async function read({ port, opening, subscriptions, reads }: Extract<LoadCommand, { do: 'connect' }>) {
  const line = await connect(port, opening)
  for (let id = 1; opening.subscribe && id <= subscriptions; id++) await line.exchange(opening.subscribe, id)
  if (reads) line.count(arrive)
  else line.pause()
}

async function connectAll(command: Extract<LoadCommand, { do: 'connect' }>): Promise<void> {
  for (let left = command.connections; left > 0; left -= abreast) {
    await Promise.all(Array.from({ length: Math.min(abreast, left) }, () => read(command)))
  }
}

async function cycle({
  of,
  port,
  opening,
  cycles,
  together,
}: Extract<LoadCommand, { do: 'cycle' }>): Promise<void> {
  const { subscribe, unsubscribe } = opening
  if (!subscribe || !unsubscribe) throw new Error('Only WebSockets can be cycled.')
  const kept = of === 'subscription' ? await connect(port, opening) : null
  for (let first = 1; first <= cycles; first += together) {
    const line = kept ?? (await connect(port, opening))
    const ids = Array.from({ length: together }, (_, i) => first + i)
    for (const id of ids) line.say(subscribe, id)
    for (const _ of ids) await line.hear(mark)
    // As tRPC's clients and ours do it: who moves on does not wait for the end of what it has left.
    if (kept) for (const id of ids) line.say(unsubscribe, id)
    else await line.close(closeFrame)
  }
}

async function obey(command: LoadCommand): Promise<void> {
  switch (command.do) {
    case 'connect':
      await connectAll(command)
      return void send({ is: 'connected' })
    case 'expect':
      expected += command.events
      return arrive(0) // some may have come already
    case 'cycle':
      await Promise.all(Array.from({ length: command.lines }, () => cycle(command)))
      return void send({ is: 'cycled' })
    case 'count':
      send({ is: 'total', events: total })
  }
}

process.on('message', (command: LoadCommand) => void obey(command))
process.on('disconnect', () => process.exit())
send({ is: 'listening' })
