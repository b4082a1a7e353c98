import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ListenOptions {
  readonly host: string
  readonly port: number
  /** Try the following ports when this one is taken. */
  readonly anyPort: boolean
}

const tries = 50

/** Listens, and returns the port. */
export async function listen(server: Server, { host, port, anyPort }: ListenOptions): Promise<number> {
  for (let candidate = port; ; candidate++) {
    try {
      server.listen(candidate, host)
      await once(server, 'listening')
      return (server.address() as AddressInfo).port // listening on TCP: never a pipe's name
    } catch (thrown) {
      const taken = (thrown as NodeJS.ErrnoException).code === 'EADDRINUSE'
      if (taken && anyPort && candidate < port + tries) continue
      if (!taken) throw thrown
      throw new Error(`Port ${candidate} of ${host} is taken. Set PORT to another one, or leave it unset.`, {
        cause: thrown,
      })
    }
  }
}
