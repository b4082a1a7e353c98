/** HTTP/2 in front of an application that has HTTP/1.1 already, and two neighbours on it. */
import { once } from 'node:events'
import http2, { type ClientHttp2Session, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Sluice } from 'trpc-sluice/server'
import { Http2Client } from '../../interop/support/http2-client.ts'
import { startSecureServer } from '../../interop/support/secure-server.ts'

export interface Http2Front extends AsyncDisposable {
  readonly port: number
  /** For strangers; a neighbour is on its connection. */
  readonly client: Http2Client
  /** What each neighbour has been sent: the one beside the stranger, and the one on a connection of its own. */
  readonly neighbours: readonly (() => string)[]
}

/** @param secure by TLS, as browsers have it; else whatever bytes come are HTTP/2. */
export async function startHttp2Front(sluice: Sluice, secure: boolean): Promise<Http2Front> {
  const { url, ca, stop } = secure ? await startSecure(sluice) : await startPlain(sluice)
  const connect = () => http2.connect(url, { ca })
  const [shared, own] = [connect(), connect()]
  const neighbours = await Promise.all([shared, own].map(follow))
  return {
    port: Number(new URL(url).port),
    client: new Http2Client(shared),
    neighbours,
    async [Symbol.asyncDispose]() {
      shared.destroy()
      own.destroy()
      await stop()
    },
  }
}

async function follow(session: ClientHttp2Session): Promise<() => string> {
  const stream = session.request({ ':path': '/numbers' })
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  stream.on('error', () => {}) // cut, which is seen by what does not come any more
  await once(stream, 'data')
  return () => text
}

async function startSecure(sluice: Sluice) {
  const server = await startSecureServer(sluice)
  return { url: server.url, ca: server.ca, stop: () => server[Symbol.asyncDispose]() }
}

async function startPlain(sluice: Sluice) {
  const server = http2.createServer(sluice.node)
  const sessions: ServerHttp2Session[] = []
  server.on('session', session => sessions.push(session))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ca: undefined,
    async stop() {
      for (const session of sessions) session.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
