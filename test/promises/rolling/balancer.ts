/** A plain load balancer: each connection goes to the next server in turn, and none to one that was taken out. */
import { connect, createServer } from 'node:net'
import { pipeline } from 'node:stream'
import { listen, type Listening } from '../../support/listen.ts'

export interface Balancer extends Listening {
  add(port: number): void
  /** Sends nobody there any more; whoever is connected stays. */
  remove(port: number): void
}

export async function createBalancer(): Promise<Balancer> {
  const ports: number[] = []
  const server = createServer({ noDelay: true }, client => {
    const port = ports.shift()
    if (port === undefined) return void client.destroy()
    ports.push(port)
    const upstream = connect({ port, host: '127.0.0.1', noDelay: true })
    // A side that breaks takes the other with it, which is all that there is to say of its error.
    pipeline(client, upstream, client, () => {
      client.destroy()
      upstream.destroy()
    })
  })
  return {
    ...(await listen(server)),
    add: port => void ports.push(port),
    remove(port) {
      const index = ports.indexOf(port)
      if (index >= 0) ports.splice(index, 1)
    },
  }
}
