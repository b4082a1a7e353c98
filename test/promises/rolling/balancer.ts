/** A plain load balancer: each connection goes to the next server in turn, and none to one that was taken out. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { pipeline } from 'node:stream'

export interface Balancer extends AsyncDisposable {
  readonly url: string
  add(port: number): void
  /** Sends nobody there any more; whoever is connected stays. */
  remove(port: number): void
}

export async function createBalancer(): Promise<Balancer> {
  const ports: number[] = []
  const sockets = new Set<Socket>()
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  }
  const server = createServer({ noDelay: true }, client => {
    keep(client)
    const port = ports.shift()
    if (port === undefined) return void client.destroy()
    ports.push(port)
    const upstream = connect({ port, host: '127.0.0.1', noDelay: true })
    keep(upstream)
    // A side that breaks takes the other with it, which is all that there is to say of its error.
    pipeline(client, upstream, client, () => {
      client.destroy()
      upstream.destroy()
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, // listening on TCP
    add: port => void ports.push(port),
    remove(port) {
      const index = ports.indexOf(port)
      if (index >= 0) ports.splice(index, 1)
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
