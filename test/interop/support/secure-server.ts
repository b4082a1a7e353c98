/** A sluice on `node:http2` over TLS, with HTTP/1.1 and its upgrades on the same port. */
import { once } from 'node:events'
import http2, { type Http2SecureServer, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { generate } from 'selfsigned'
import type { Sluice } from 'trpc-sluice/server'

/** Listens on a port of its own, with a certificate of its own. */
export async function startSecureServer(
  sluice: Sluice,
  handler: Sluice['node'] = sluice.node,
): Promise<SecureServer> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  })
  // A server that names no number gets 100 streams of a Chromium, which keeps all others waiting.
  const settings = { maxConcurrentStreams: 250 }
  const server = http2.createSecureServer({ allowHTTP1: true, key, cert, settings }, handler)
  server.on('upgrade', sluice.upgrade)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return new SecureServer(server, sluice, cert)
}

export class SecureServer implements AsyncDisposable {
  /** Every HTTP/2 connection since the start. */
  readonly sessions: ServerHttp2Session[] = []
  readonly url: string
  /** What a client has to trust. */
  readonly ca: string
  readonly #server: Http2SecureServer
  readonly #sluice: Sluice

  constructor(server: Http2SecureServer, sluice: Sluice, ca: string) {
    this.#server = server
    this.#sluice = sluice
    this.ca = ca
    this.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}` // on TCP: never a pipe's name
    server.on('session', session => this.sessions.push(session))
  }

  /** Waits for every connection to end; ends none. */
  async close(): Promise<void> {
    if (!this.#server.listening) return
    await new Promise(resolve => this.#server.close(resolve))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sluice.close()
    for (const session of this.sessions) session.destroy()
    await this.close()
  }
}
