/** Servers in front of an application that listens already. */
import { once } from 'node:events'
import http from 'node:http'
import http2, { type Settings } from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import type { Sluice } from 'trpc-sluice/server'
import { Http2Client } from '../../interop/support/http2-client.ts'
import { listen } from '../../support/listen.ts'

type Handled = { readonly sluice: Pick<Sluice, 'node'> }

/** An `http.Server` of the application's own. */
export function startOwnServer({ sluice }: Handled) {
  return listen(http.createServer(sluice.node))
}

/** HTTP/2 without TLS, and a client on it. */
export async function startHttp2({ sluice }: Handled, settings: Settings = {}) {
  const server: Server = http2.createServer(sluice.node)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { settings })
  return {
    client: new Http2Client(session),
    async [Symbol.asyncDispose]() {
      session.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
