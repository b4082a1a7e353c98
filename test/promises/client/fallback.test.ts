/** Where a WebSocket cannot be had, the same subscriptions go on over streamed HTTP. */
import { createServer } from 'node:http'
import { createFaultProxy, eventually } from 'trpc-sluice/testing'
import { describe, expect, test } from 'vitest'
import { listen } from '../../support/listen.ts'
import { connect, follow, range } from './connect.ts'
import { startServer } from './server.ts'

const complete = (delivered: number) => ({ delivered, missing: [], repeated: [], outOfOrder: [] })

describe.each(['stock tRPC', 'Sluice'] as const)('from %s', kind => {
  /** What the client finds where it cannot have a WebSocket: a stock server knows no stream of many. */
  const overHttp = kind === 'Sluice' ? 'stream' : 'sse'
  const openingOverHttp =
    kind === 'Sluice' ? ['opening stream', 'ready stream'] : ['opening stream', 'opening sse', 'ready sse']

  test.each([403, 'drop', 'silence'] as const)(
    'upgrades answered by %s: two attempts, and then the next best',
    async answer => {
      await using server = await startServer(kind)
      await using proxy = await createFaultProxy({ target: server.url })
      proxy.refuseUpgrades({ answer })
      using client = connect({ url: proxy.httpUrl, connectTimeoutMs: 300 })
      const { seen, told } = follow(client)
      server.log.publish(1, 2)
      await seen.until(2)
      expect(client.states).toEqual([
        'opening websocket',
        'waiting',
        'opening websocket',
        'waiting',
        ...openingOverHttp,
      ])
      expect(told.filter(word => word.startsWith('error'))).toEqual([])
      // Queries find their way too, and what worked is remembered.
      expect(await client.client.echo.query({ at: new Date(5) })).toEqual({ at: new Date(5) })
      await proxy.cut()
      server.log.publish(3)
      await seen.until(3)
      expect(seen.report(3)).toEqual(complete(3))
      expect(client.states.slice(-3)).toEqual(['waiting', `opening ${overHttp}`, `ready ${overHttp}`])
    },
  )

  test('a WebSocket that is forbidden in mid-subscription: it goes on over HTTP from where it was', async () => {
    await using server = await startServer(kind)
    await using proxy = await createFaultProxy({ target: server.url })
    using client = connect({ url: proxy.httpUrl })
    const { seen } = follow(client)
    server.log.publish(...range(1, 5))
    await seen.until(5)
    proxy.refuseUpgrades()
    await proxy.cut()
    server.log.publish(...range(6, 10))
    await seen.until(10)
    expect(seen.report(10)).toEqual(complete(10))
    expect(client.states.at(-1)).toBe(`ready ${overHttp}`)
  })

  test('a middle box that opens WebSockets and lets nothing through is found out', async () => {
    await using server = await startServer(kind)
    await using proxy = await createFaultProxy({ target: server.url })
    // A WebSocket that opens, as far as the page can see, and stays dumb.
    class Dumb extends EventTarget {
      readonly readyState = 1
      constructor() {
        super()
        queueMicrotask(() => this.dispatchEvent(new Event('open')))
      }
      send() {}
      close() {}
    }
    using client = connect({ url: proxy.httpUrl, WebSocket: Dumb as never, heartbeatTimeoutMs: 50 })
    const { seen } = follow(client)
    server.log.publish(1)
    await seen.until(1)
    expect(client.states.at(-1)).toBe(`ready ${overHttp}`)
  })

  test('a constructor that throws, as under a content security policy, is a failed attempt', async () => {
    await using server = await startServer(kind)
    function Forbidden(): never {
      throw new DOMException('refused to connect', 'SecurityError')
    }
    using client = connect({ url: server.url, WebSocket: Forbidden as never })
    const { seen } = follow(client)
    server.log.publish(1)
    await seen.until(1)
    expect(client.states.at(-1)).toBe(`ready ${overHttp}`)
    expect(client.errors.map(error => error.message)).toEqual(['refused to connect', 'refused to connect'])
  })

  test('a server that was merely down is found again by either, and nobody hangs', async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url })
    const { seen } = follow(client)
    server.log.publish(1)
    await seen.until(1)
    await server.stop()
    await eventually(() => client.states.includes(`opening ${overHttp}`))
    await server.start()
    server.log.publish(2)
    await seen.until(2)
    expect(seen.report(2)).toEqual(complete(2))
  })
})

describe('in Node 20, which has no WebSocket of its own', () => {
  const hasGlobal = 'WebSocket' in globalThis

  test.runIf(!hasGlobal)('auto means HTTP from the start', async () => {
    await using server = await startServer('Sluice')
    using client = connect({ url: server.url, WebSocket: undefined })
    const { seen } = follow(client)
    server.log.publish(1)
    await seen.until(1)
    expect(client.states).toEqual(['opening stream', 'ready stream'])
  })

  test.runIf(!hasGlobal)('asking for one is an error that says what to do', async () => {
    using client = connect({ url: 'http://127.0.0.1:1', transport: 'websocket', WebSocket: undefined })
    await expect(client.client.echo.query(1)).rejects.toMatchObject({
      message: expect.stringContaining('Pass one to sluiceLink({ WebSocket })'),
      cause: { code: 'TRANSPORT_UNAVAILABLE' },
    })
  })
})

describe('what is no stream of events', () => {
  /** Answers each request with the next of these, and with the last from then on. */
  async function answering(...answers: { status: number; type?: string; body?: string; headers?: object }[]) {
    let requests = 0
    const server = createServer((_req, res) => {
      const {
        status,
        type = 'text/plain',
        body = '',
        headers = {},
      } = answers[Math.min(requests, answers.length - 1)] ?? { status: 500 }
      requests += 1
      res.writeHead(status, { 'content-type': type, ...headers }).end(body)
    })
    return { ...(await listen(server)), requests: () => requests }
  }

  test.each([408, 429, 500, 502, 503, 504])('HTTP %i without a word of tRPC passes', async status => {
    await using server = await answering({ status }, { status }, { status: 204 })
    using client = connect({ url: server.url, transport: 'sse' })
    const { told } = follow(client)
    await eventually(() => told.includes('complete'))
    expect(server.requests()).toBe(3)
  })

  test('a page of HTML, as a portal sends it, passes too', async () => {
    await using server = await answering(
      { status: 200, type: 'text/html', body: '<html>Log in</html>' },
      { status: 204 },
    )
    using client = connect({ url: server.url, transport: 'sse' })
    const { told } = follow(client)
    await eventually(() => told.includes('complete'))
  })

  test.each([400, 401, 403, 404])('HTTP %i is final', async status => {
    await using server = await answering({ status })
    using client = connect({ url: server.url, transport: 'sse' })
    const { told } = follow(client)
    await eventually(() => told.some(word => word.startsWith('error')))
    expect(server.requests()).toBe(1)
    expect(told.at(-1)).toBe(`error: The server answered with HTTP status ${status}.`)
  })

  test("the server's Retry-After is a floor under every delay", async () => {
    await using server = await answering({ status: 503, headers: { 'retry-after': '30' } })
    using client = connect({ url: server.url, transport: 'sse' })
    follow(client)
    await eventually(() => client.link.connection.get().at === 'waiting')
    client.link.connection.wake()
    const state = client.link.connection.get()
    expect(state.at === 'waiting' && state.until - state.since).toBe(30_000)
  })
})
