/**
 * Promise 7: an upgrade that is refused leaves nothing behind. Node lets go of a socket that asks for one: it stays half
 * open, has no timeouts, and is in no list of connections, so it is ours to end.
 */
import { once } from 'node:events'
import http from 'node:http'
import type { Server, Socket } from 'node:net'
import { initTRPC } from '@trpc/server'
import { describe, expect, test } from 'vitest'
import { createSluice, serve } from 'trpc-sluice/server'
import { eventually } from '../kit/deadline.ts'
import { createFakeClock } from '../kit/fake-clock.ts'
import { RawTcp, upgradeHead } from '../interop/support/raw-tcp.ts'
import { listen } from '../support/listen.ts'

const router = initTRPC.create().router({})

const openSockets = (server: Server) =>
  new Promise<number>((resolve, reject) =>
    server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  )

/** By us, and by the WebSocket server that we hand them to. */
const refusals: readonly (readonly [status: number, head: string])[] = [
  [403, upgradeHead('/', 'Origin: http://evil.example')],
  [400, upgradeHead().replace(/Sec-WebSocket-Key: .*/, 'Sec-WebSocket-Key: none')],
]

describe.each(refusals)('an upgrade that is refused with %i', (status, head) => {
  async function start() {
    const served = await serve({ router, port: 0, host: '127.0.0.1' })
    const peer = await RawTcp.open(served.port, { allowHalfOpen: true })
    peer.write(head)
    await peer.until('\r\n\r\n')
    expect(peer.received.toString()).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    return { ...served, peer }
  }

  test('is over when its answer is sent, whether or not the peer leaves', async () => {
    const { server, peer, close } = await start()
    using _ = peer
    await eventually(async () => (await openSockets(server)) === 0, { what: 'the socket to be gone' })
    await close()
  })

  test('is over also for a peer that goes on talking', async () => {
    const { server, peer, close } = await start()
    using _ = peer
    peer.write('x')
    await eventually(async () => (await openSockets(server)) === 0, { what: 'the socket to be gone' })
    await close()
  })

  test('does not keep the server from closing', async () => {
    const { peer, close } = await start()
    using _ = peer
    await close()
  })

  test('is cut off a second later where the peer does not take the answer', async () => {
    const clock = createFakeClock()
    const sluice = createSluice({ router, clock })
    const server = http.createServer(sluice.node)
    let socket: Socket | null = null
    server.on('upgrade', (req, upgraded: Socket, first) => {
      socket = upgraded
      upgraded.write(Buffer.alloc(64 * 1024 * 1024)) // more than is between the two
      sluice.upgrade(req, upgraded, first)
    })
    await using listening = await listen(server)
    using peer = await RawTcp.open(listening.port)
    peer.pause()
    peer.write(head)
    await eventually(() => socket)
    const closed = once(socket as unknown as Socket, 'close')
    expect(socket).toMatchObject({ destroyed: false, writableFinished: false })
    await clock.advance(1_000)
    await closed
    expect(clock.pending).toBe(0)
  })
})
