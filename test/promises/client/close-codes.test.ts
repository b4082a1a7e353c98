/** A server that closes every connection, with whatever code, is never stormed: some codes end it, others wait longer. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'
import { createFakeClock, eventually } from 'trpc-sluice/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { defaultBackoff } from '../../../client/connection/backoff.ts'
import type { ConnectionState } from '../../../client/connection/machine.ts'
import { connect, follow, range } from './connect.ts'

/** Accepts every socket and closes it with the code that its path names. */
class ClosingServer {
  readonly #server: Server = createServer()
  readonly #accepted = new Map<number, number>()

  async start(): Promise<void> {
    new WebSocketServer({ server: this.#server }).on('connection', (socket, { url = '' }) => {
      const code = Number(/\d+/.exec(url)?.[0])
      this.#accepted.set(code, this.accepted(code) + 1)
      closeWith(socket, code)
    })
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  stop(): void {
    this.#server.close()
  }

  url(code: number): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${code}` // listening on TCP
  }

  accepted(code: number): number {
    return this.#accepted.get(code) ?? 0
  }
}

/** By a frame of our own: `ws` would send none with a code that RFC 6455 does not allow. */
function closeWith(socket: WebSocket, code: number): void {
  const { _socket: tcp } = socket as unknown as { readonly _socket: Socket } // where `ws` keeps it
  tcp.write(Buffer.from([0x88, 2, code >> 8, code & 0xff]))
}

const never = [1002, 1003, 1007, 1008, 1009, 1010, ...range(4400, 4499)]
const comeBack = [
  ...range(1000, 1015).filter(code => !never.includes(code)),
  1016,
  1999,
  2999,
  3000,
  3999,
  4000,
  4399,
  4600,
  4999,
  ...range(4500, 4599),
]
const twoMinutes = 120_000

const server = new ClosingServer()
beforeAll(() => server.start())
afterAll(() => server.stop())

/** What a client does in two minutes, on a clock of its own. */
async function twoMinutesWith(code: number) {
  const clock = createFakeClock({ seed: code })
  using client = connect({ url: server.url(code), transport: 'websocket', backoff: defaultBackoff, clock })
  const { told } = follow(client)
  const { connection } = client.link
  const waits: number[] = []
  for (;;) {
    await eventually(() => connection.get().at === 'waiting', {
      what: `the end of attempt ${waits.length + 1}`,
    })
    const waiting = connection.get() as Extract<ConnectionState, { at: 'waiting' }> // the client is the only mover
    waits.push(waiting.until - clock.now())
    if (waiting.until > twoMinutes) return { waits, errors: told.filter(word => word.startsWith('error')) }
    await clock.advance(waiting.until - clock.now())
  }
}

test.each([
  ['the lower thousands', comeBack.filter(code => code < 4000)],
  ['those of an application', comeBack.filter(code => code >= 4000)],
])('%s mean come back, further apart each time, up to the cap', async (_, codes) => {
  await Promise.all(
    codes.map(async code => {
      const { waits, errors } = await twoMinutesWith(code)
      const bounds = waits.map((_, i) => Math.min(defaultBackoff.maxMs, defaultBackoff.baseMs * 2 ** (i + 1)))
      expect(
        waits.filter((ms, i) => ms > (bounds[i] ?? 0)),
        `waits after ${code}`,
      ).toEqual([])
      expect(errors, `errors after ${code}`).toEqual([])
      // Half the cap on average once that is reached, which is 6 in the rest of the time; and 6 before.
      expect(server.accepted(code), `attempts after ${code}`).toBe(waits.length)
      expect(waits.length, `attempts after ${code}`).toBeLessThan(30)
      expect(waits.length, `attempts after ${code}`).toBeGreaterThan(5)
    }),
  )
})

test('those that mean never: one attempt, a typed error, and a new wish tries once more', async () => {
  await Promise.all(
    never.map(async code => {
      const clock = createFakeClock({ seed: code })
      using client = connect({ url: server.url(code), transport: 'websocket', clock })
      for (const attempt of [1, 2]) {
        const { told } = follow(client)
        await eventually(() => told.some(word => word.startsWith('error')))
        expect(client.link.connection.get()).toMatchObject({
          at: 'closed',
          why: { code: 'CONNECTION_REFUSED', data: { closeCode: code } },
        })
        await clock.advance(twoMinutes)
        expect(server.accepted(code)).toBe(attempt)
      }
    }),
  )
})
