/** Many clients under measurement, in a process of their own: each has one subscription, by one link. */
import type { HerdCommand, HerdReport, LinkName } from './client-messages.ts'
import { createClient, type RealLink } from './links.ts'
import { resumeByHand } from './resuming.ts'

const name = process.argv[2] as LinkName
const send = (report: HerdReport) => process.send?.(report)

/** How many events each has received. */
const received: number[] = []
let total = 0

/** Until when: so many events each. Those that are still short of it are counted, and not looked for each time. */
let goal = 0
let short = 0
let before = process.cpuUsage()

function receive(index: number): void {
  total += 1
  const count = (received[index] ?? 0) + 1
  received[index] = count
  if (count !== goal || --short > 0) return
  const { user, system } = process.cpuUsage(before)
  send({ is: 'received', cpuMicros: user + system })
}

function connect(name: RealLink, port: number, onEvent: () => void): Promise<void> {
  return new Promise((onStarted, onError) => {
    createClient(name, port).events.subscribe({}, { onStarted: () => onStarted(), onData: onEvent, onError })
  })
}

async function obey(command: HerdCommand): Promise<void> {
  switch (command.do) {
    case 'connect': {
      const { port, clients } = command
      for (let index = 0; index < clients; index++) {
        received.push(0)
        const onEvent = () => receive(index)
        await (name === 'ws' ? resumeByHand(port, onEvent) : connect(name, port, onEvent))
      }
      return void send({ is: 'connected' })
    }
    case 'expect':
      goal += command.events
      short = received.length
      globalThis.gc?.()
      send({ is: 'expecting' })
      before = process.cpuUsage()
      return
    case 'count':
      return void send({ is: 'total', events: total })
  }
}

process.on('message', (command: HerdCommand) => void obey(command))
process.on('disconnect', () => process.exit())
send({ is: 'listening' })
