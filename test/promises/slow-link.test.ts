/** Promise 3, for a policy that cuts off who takes nothing: who takes slowly is not one of them. */
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { connect as connectSecurely } from 'node:tls'
import { initTRPC, tracked } from '@trpc/server'
import { createSluice, createTopic, type Sluice } from 'trpc-sluice/server'
import { createFakeClock, eventually } from 'trpc-sluice/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Scope } from '../../shared/scope.ts'
import { frame, upgradeHead } from '../interop/support/raw-tcp.ts'
import { startSecureServer } from '../interop/support/secure-server.ts'
import { listen } from '../support/listen.ts'

const megabyte = 1024 * 1024
const afterMs = 1_000

/** More than the kernel's buffers take from who does not read: so the server notices each time. */
const once = 16 * megabyte
const times = 3

const carriers = {
  'a WebSocket': (path: string) => [
    upgradeHead(),
    frame(0x81, JSON.stringify({ id: 1, method: 'subscription', params: { path } })),
  ],
  SSE: (path: string) => [`GET /${path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`],
}

const networks = {
  async TCP(sluice: Sluice, scope: Scope) {
    const server = createServer(sluice.node).on('upgrade', sluice.upgrade)
    const { port } = scope.use(await listen(server))
    scope.defer(() => sluice.close())
    return () => connect(port, '127.0.0.1')
  },
  async TLS(sluice: Sluice, scope: Scope) {
    const { url, ca } = scope.use(await startSecureServer(sluice))
    const port = Number(new URL(url).port)
    return () => connectSecurely({ port, host: '127.0.0.1', ca, ALPNProtocols: ['http/1.1'] })
  },
}

async function start(network: (typeof networks)['TCP' | 'TLS']) {
  const t = initTRPC.create()
  const clock = createFakeClock()
  const topic = createTopic({ name: 'large', event: z.string(), clock })
  const whenSlow = { policy: 'disconnect', afterMs } as const
  const subscribe = (signal: AbortSignal | undefined) =>
    topic.subscribe('k', { from: 'start', signal, whenSlow })
  const router = t.router({
    onEvent: t.procedure.subscription(({ signal }) => subscribe(signal)),
    onWrapped: t.procedure.subscription(async function* ({ signal }) {
      for await (const [id, data] of subscribe(signal)) yield tracked(id, data)
    }),
  })
  await topic.publish('k', 'x'.repeat(once * (times + 1)))
  await topic.publish('k', 'y')
  const sluice = createSluice({ router, clock })
  const scope = new Scope()
  const dial = await network(sluice, scope)
  return {
    clock,
    stats: () => sluice.stats(),
    ask: (request: Request) => scope.use(new Reader(dial(), request)),
    [Symbol.asyncDispose]: () => scope.close(),
  }
}

type Request = readonly (string | Uint8Array)[]

/** Takes as many bytes as it is told to, and then no more. */
class Reader implements Disposable {
  #bytes = 0
  #wanted = 0
  readonly #socket: Socket

  constructor(socket: Socket, request: Request) {
    this.#socket = socket
    for (const part of request) this.#socket.write(part)
    this.#socket.on('data', ({ length }) => {
      this.#bytes += length
      if (this.#bytes >= this.#wanted) this.#socket.pause()
    })
    this.#socket.pause()
  }

  async take(bytes: number): Promise<void> {
    this.#wanted = this.#bytes + bytes
    this.#socket.resume()
    await eventually(() => this.#bytes >= this.#wanted)
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}

const ways = Object.entries(networks).flatMap(([name, network]) =>
  Object.entries(carriers).map(([carrier, request]) => [`${carrier}, ${name}`, network, request] as const),
)

describe.each(ways)('over %s', (_, network, request) => {
  test.each(['onEvent', 'onWrapped'])(
    'who takes less of a large event than would make room is not cut off from %s, and is once it takes nothing',
    async path => {
      await using app = await start(network)
      const { clock, stats } = app
      const reader = app.ask(request(path))
      await eventually(() => stats().stalls > 0)
      for (let i = 0; i < times; i++) {
        await clock.advance(afterMs * 0.9)
        expect(stats().subscriptions).toBe(1)
        await reader.take(once)
      }
      await clock.advance(afterMs)
      expect(stats().subscriptions).toBe(1)
      await clock.advance(afterMs / 4)
      await eventually(() => stats().subscriptions === 0)
      expect(stats().dropped.disconnect).toBe(1)
    },
  )
})
