/** The client under measurement, as a process of its own: one subscription by one link. */
import { WebSocket } from 'ws'
import type { ClientCommand, ClientReport, LinkName } from './client-messages.ts'
import { createClient, toUrl, type RealLink } from './links.ts'

type Read = (port: number, events: number) => Promise<void>

const readByLink =
  (name: RealLink): Read =>
  (port, events) => {
    const client = createClient(name, port)
    return new Promise((resolve, reject) => {
      let missing = events
      const subscription = client.flood.subscribe(
        { events },
        {
          onData() {
            if (--missing > 0) return
            subscription.unsubscribe()
            resolve()
          },
          onError: reject,
        },
      )
    })
  }

/** The least that a client can do: `ws`, and JSON. */
const readByHand: Read = (port, events) =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(toUrl('ws', port))
    let missing = events + 1 // it is also told that the subscription has started
    const params = { path: 'flood', input: { json: { events } } }
    socket.on('open', () => socket.send(JSON.stringify({ id: 1, method: 'subscription', params })))
    socket.on('error', reject)
    socket.on('message', data => {
      const message: unknown = JSON.parse(String(data))
      missing -= Array.isArray(message) ? message.length : 1
      if (missing > 0) return
      socket.terminate()
      resolve()
    })
  })

const name = process.argv[2] as LinkName
const read = name === 'ws' ? readByHand : readByLink(name)
const send = (report: ClientReport) => process.send?.(report)

process.on('message', async ({ port, events }: ClientCommand) => {
  globalThis.gc?.()
  const before = process.cpuUsage()
  await read(port, events)
  const { user, system } = process.cpuUsage(before)
  send({ is: 'read', cpuMicros: user + system })
})
process.on('disconnect', () => process.exit())
send({ is: 'listening' })
