/** The server under measurement, as a process of its own: told by IPC what to do, it answers what that took. */
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import type { Command, Report } from './messages.ts'
import type { Serve } from './peer.ts'
import { offered, turn } from './sources.ts'

const [name = '', ...wishes] = process.argv.slice(2)
const { serve } = (await import(`../peers/${name}.ts`)) as { serve: Serve }
const server = http.createServer()
const peer = serve(server, { deflates: wishes.includes('deflated') })
const send = (report: Report) => process.send?.(report)

// Only where they are to be cut: to know them costs 200 B a connection (Node 20).
const sockets = new Set<Socket>()
if (wishes.includes('cuttable')) {
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
}

let n = 0
let spent: NodeJS.CpuUsage | undefined

async function collectGarbage(): Promise<void> {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.()
    await setImmediate() // what was freed may have had a last word to say
  }
}

async function obey(command: Command): Promise<void> {
  switch (command.do) {
    case 'tick':
      for (let i = 0; i < command.events; i++) void peer.publish(++n)
      return
    case 'publish': {
      let cursor = ''
      for (let i = 0; i < command.events; i++) cursor = await peer.publish(++n)
      send({ is: 'published', cursor })
      return
    }
    case 'turn':
      turn()
      return
    case 'open':
      send({ is: 'opening', opening: peer.opening(command.carrier, command.ask) })
      return
    case 'start':
      await collectGarbage()
      send({ is: 'started' })
      spent = process.cpuUsage()
      return
    case 'stop': {
      const { user, system } = process.cpuUsage(spent)
      send({ is: 'spent', cpuMicros: user + system })
      return
    }
    case 'weigh': {
      await collectGarbage()
      const { heapUsed, rss } = process.memoryUsage()
      send({ is: 'weight', heapBytes: heapUsed, rssBytes: rss })
      return
    }
    case 'count':
      send({ is: 'offered', events: offered })
      return
    case 'cut':
      for (const socket of sockets) socket.resetAndDestroy()
  }
}

process.on('message', (command: Command) => void obey(command))
process.on('disconnect', () => process.exit())
server.listen(0, '127.0.0.1', () => send({ is: 'ready', port: (server.address() as AddressInfo).port }))
