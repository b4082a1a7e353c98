/**
 * Promise 7: connections that ask for something and are reset at once, by the thousand. Whatever they came to, nothing of
 * them is left, neither in the limits that they were held to, and the application is told of no error.
 */
import type { IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { eventually } from '../kit/deadline.ts'
import { preface, requestFrame } from '../interop/support/raw-http2.ts'
import { RawResponse } from '../interop/support/raw-http.ts'
import { frame, RawTcp, upgradeHead } from '../interop/support/raw-tcp.ts'
import { helloOfTls, RawTls } from '../interop/support/raw-tls.ts'
import { createRouter, createTally, startWithNeighbours } from './support/neighbours.ts'

const asked = { method: 'subscription', params: { path: 'quiet' } }
const list = JSON.stringify({ subscriptions: [1, 2, 3].map(id => ({ id, ...asked })) })

const get = (address: string, path = '/quiet') =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\nX-Real-IP: ${address}\r\n\r\n`
const posted = (address: string, body = list) =>
  [
    'POST /:stream?sluice=1 HTTP/1.1',
    'Host: localhost',
    `X-Real-IP: ${address}`,
    'Content-Type: application/json',
    `Content-Length: ${list.length}`,
    '',
    body,
  ].join('\r\n')
const upgrade = (address: string) => upgradeHead('/', `X-Real-IP: ${address}`)

interface Target {
  readonly port: number
  readonly securePort: number
}
interface Attacker {
  cut(): void
}
/** Connects, and says the first words. */
type Attack = (target: Target, index: number, address: string) => Promise<Attacker>

const byTcp =
  (...words: ((address: string) => string | Uint8Array)[]): Attack =>
  async ({ port }, index, address) => {
    const tcp = await RawTcp.open(port)
    tcp.write(words[index % words.length]?.(address) ?? '')
    return tcp
  }

const helloed = frame(0x81, JSON.stringify({ id: 1, ...asked }))

const hello = await helloOfTls()

const attacks: Record<string, Attack> = {
  upgrades: byTcp(upgrade, address => Buffer.concat([Buffer.from(upgrade(address)), helloed])),
  'requests for a stream': byTcp(address => get(address)),
  'posts for a stream of many': byTcp(posted, address => posted(address, list.slice(0, 50))),
  'requests that are sent ahead of each other': byTcp(
    address => get(address).repeat(3),
    address => get(address) + posted(address) + get(address),
    address => get(address).repeat(2) + upgrade(address),
  ),
  async 'HTTP/2 connections by TLS'({ securePort }, index, address) {
    if (index % 3 > 0) {
      const tcp = await RawTcp.open(securePort)
      tcp.write(index % 3 > 1 ? hello : hello.subarray(0, 100))
      // With the answer of the server, it is half-way.
      if (index % 3 > 1) await eventually(() => tcp.received.length > 0)
      return tcp
    }
    const tls = await RawTls.open(securePort)
    const headers = [['x-real-ip', address]] as const
    const requests = [1, 3, 5].map(stream => requestFrame({ stream, path: '/quiet', headers }))
    await tls.write(Buffer.concat([preface, ...requests]))
    return tls
  },
}

describe.each(Object.entries(attacks))('1,000 %s', (name, attack) => {
  test('that are reset at once leave nothing behind, and are held to the limits', async () => {
    const tally = createTally()
    const errors: unknown[] = []
    const limits = { maxConnectionsPerAddress: 3, maxConnections: 50 }
    await using app = await startWithNeighbours({
      router: createRouter({ tally }),
      limits,
      addressOf: req => (req as IncomingMessage).headers['x-real-ip']?.toString() ?? null,
      onError: ({ error }) => errors.push(error),
    })
    const secure = name.includes('TLS') ? await app.http2({ secure: true }) : null
    const target = { port: app.port, securePort: secure?.port ?? 0 }
    const { connections } = app.sluice.stats()
    const room = 50 - connections.websocket - connections.sse
    const from = (address: string) =>
      RawResponse.open(`${app.url}/quiet`, { headers: { 'x-real-ip': address } })
    const storm = async (addressOf: (index: number) => string) => {
      for (let round = 0; round < 500; round += 50) {
        const indices = Array.from({ length: 50 }, (_, i) => round + i)
        const attackers = await Promise.all(indices.map(index => attack(target, index, addressOf(index))))
        for (const attacker of attackers) attacker.cut()
      }
    }

    await storm(index => `192.0.2.${index % 250}`)
    const held = await Promise.all([1, 2, 3].map(() => from('192.0.2.255')))
    await storm(() => '192.0.2.255')
    expect((await from('192.0.2.255')).status).toBe(429)
    expect(app.refusals().TOO_MANY_CONNECTIONS).toBeGreaterThan(100)
    for (const response of held) response.cut()
    await app.calm()
    expect(errors).toEqual([])
    expect(tally.ended).toBe(tally.begun)
    const sockets = () => new Promise(resolve => app.server.getConnections((_, count) => resolve(count)))
    await eventually(async () => (await sockets()) === 2)

    // There is room for as many as there was before.
    expect(app.sluice.stats().connections).toEqual(connections)
    const { SERVER_FULL: before = 0 } = app.refusals()
    const others = await Promise.all(
      Array.from({ length: room }, (_, i) => from(`192.0.2.${210 + Math.floor(i / 3)}`)),
    )
    expect(others.map(({ status }) => status)).toEqual(others.map(() => 200))
    expect((await from('192.0.2.255')).status).toBe(503)
    expect(app.refusals().SERVER_FULL).toBe(before + 1)
    for (const response of others) response.leave()
    await app.calm()
  })
})
