/** tRPC's own clients, pinned and newest, work against a Sluice server as against tRPC's own. */
import { spawn } from 'node:child_process'
import { initTRPC, tracked } from '@trpc/server'
import superjson from 'superjson'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { serve, type ServeOptions } from 'trpc-sluice/server'
import { eventually } from '../kit/deadline.ts'
import { createFaultProxy } from '../kit/fault-proxy.ts'
import { createApp } from './support/app.ts'
import { EventSource, loadClients, WebSocket } from './support/clients.ts'

const clients = await loadClients()

/** Numbers that go on from where the client was, as long as it stays. */
function createCounting() {
  const t = initTRPC.create({ isDev: false })
  const cursor = z.object({ lastEventId: z.string().optional() })
  return t.router({
    numbers: t.procedure.input(cursor).subscription(async function* ({ input, signal }) {
      for (let i = Number(input.lastEventId ?? 0) + 1; !signal?.aborted; i++) {
        yield tracked(String(i), i)
        await new Promise(resolve => setTimeout(resolve, 2))
      }
    }),
  })
}

function start(options: Partial<ServeOptions<ReturnType<typeof createApp>>> & { superjson?: boolean } = {}) {
  const { superjson: useSuperjson, ...rest } = options
  return serve({ router: createApp({ superjson: useSuperjson }), port: 0, host: '127.0.0.1', ...rest })
}

// All at once: a stock EventSource waits for three seconds before it comes back.
describe.concurrent.each(clients.map(({ version, library }) => [version, library] as const))(
  '%s tRPC client',
  (_, library) => {
    const { createTRPCUntypedClient, createWSClient } = library

    /** What one subscription told its application. */
    function follow(client: ReturnType<typeof createTRPCUntypedClient>, path: string, input?: unknown) {
      const told: unknown[] = []
      const subscription = client.subscription(path, input, {
        onStarted: () => told.push('started'),
        onData: data => told.push(data),
        onError: error => told.push(`error ${error.data?.code} ${error.message}`),
        onStopped: () => told.push('stopped'),
        onComplete: () => told.push('complete'),
      })
      return { told, unsubscribe: () => subscription.unsubscribe() }
    }

    function overWebSocket(url: string, more: object = {}) {
      const socket = createWSClient({
        url: url.replace('http', 'ws'),
        WebSocket: WebSocket as never,
        retryDelayMs: () => 10,
        ...more,
      })
      const client = createTRPCUntypedClient({
        links: [library.wsLink({ client: socket, ...more } as never)],
      })
      return { client, close: () => socket.close() }
    }

    function overSse(url: string, more: object = {}) {
      return createTRPCUntypedClient({
        links: [library.httpSubscriptionLink({ url, EventSource, ...more } as never)],
      })
    }

    async function expectSubscriptions(
      app: Awaited<ReturnType<typeof start>>,
      client: ReturnType<typeof createTRPCUntypedClient>,
    ) {
      const ticks = follow(client, 'ticks', { n: 2 })
      await eventually(() => ticks.told.includes('complete'))
      const events = [
        { id: '1', data: { i: 1 } },
        { id: '2', data: { i: 2 } },
      ]
      expect(ticks.told).toEqual(['started', ...events, 'stopped', 'complete'])

      const fails = follow(client, 'fails')
      await eventually(() => fails.told.length === 3)
      expect(fails.told).toEqual(['started', 1, 'error FORBIDDEN no more'])

      const open = follow(client, 'untilStopped')
      await eventually(() => open.told.includes('ready'))
      open.unsubscribe()
      await eventually(() => app.sluice.stats().subscriptions === 0)
    }

    test.each(['httpLink', 'httpBatchLink', 'httpBatchStreamLink'] as const)('%s', async name => {
      const app = await start()
      const client = createTRPCUntypedClient({ links: [library[name]({ url: app.url } as never)] })
      expect(await client.query('query', { name: 'ann' })).toEqual({ hello: 'ann' })
      expect(await client.mutation('mutation', [1, 2])).toEqual({ got: [1, 2] })
      const both = await Promise.allSettled([client.query('whoAmI'), client.query('conflict')])
      expect(both).toMatchObject([
        { status: 'fulfilled', value: 'nobody' },
        { status: 'rejected', reason: { message: 'taken', data: { code: 'CONFLICT', httpStatus: 409 } } },
      ])
      await app.close()
    })

    test('wsLink: queries, mutations, subscriptions', async () => {
      const app = await start()
      const { client, close } = overWebSocket(app.url)
      expect(await client.query('query', { name: 'ann' })).toEqual({ hello: 'ann' })
      expect(await client.mutation('mutation', [1, 2])).toEqual({ got: [1, 2] })
      await expect(client.query('conflict')).rejects.toMatchObject({ data: { code: 'CONFLICT' } })
      await expectSubscriptions(app, client)
      await close()
      await app.close()
    })

    test('httpSubscriptionLink: subscriptions', async () => {
      const app = await start()
      await expectSubscriptions(app, overSse(app.url))
      await app.close()
    })

    test('superjson on every link', async () => {
      const app = await start({ superjson: true })
      const transformer = { transformer: superjson }
      const { client, close } = overWebSocket(app.url, transformer)
      const http = createTRPCUntypedClient({
        links: [library.httpLink({ url: app.url, ...transformer } as never)],
      })
      const dated = { at: new Date(0), missing: undefined, set: new Set([1]) }
      expect(await client.query('date')).toEqual(dated)
      expect(await http.query('date')).toEqual(dated)
      for (const subscriber of [client, overSse(app.url, transformer)]) {
        const plain = follow(subscriber, 'plain')
        await eventually(() => plain.told.includes('complete'))
        expect(plain.told[2]).toEqual({ two: 2, at: new Date(0) })
      }
      await close()
      await app.close()
    })

    test('connection params reach the context', async () => {
      const createContext = ({ info }: { info: { connectionParams: unknown } }) => ({
        user: (info.connectionParams as { token?: string } | null)?.token,
      })
      const app = await start({ createContext })
      const params = { connectionParams: async () => ({ token: 'ann' }) }
      const { client, close } = overWebSocket(app.url, params)
      expect(await client.query('whoAmI')).toBe('ann')
      const echo = follow(overSse(app.url, params), 'echoInput', 'x')
      await eventually(() => echo.told.length >= 2)
      expect(echo.told[1]).toEqual({ input: 'x', user: 'ann' })
      await close()
      await app.close()
    })

    for (const carrier of ['WebSocket', 'SSE'] as const) {
      test(`resumes over ${carrier} after a cut, and after the server has drained`, async () => {
        const router = createCounting()
        const first = await serve({ router, port: 0, host: '127.0.0.1' })
        const second = await serve({ router, port: 0, host: '127.0.0.1' })
        await using proxy = await createFaultProxy({ target: first.url })
        const socket = carrier === 'WebSocket' ? overWebSocket(proxy.httpUrl) : null
        const client = socket?.client ?? overSse(proxy.httpUrl)
        const numbers = follow(client, 'numbers', {})
        const seen = () => numbers.told.filter(told => typeof told === 'object').length
        await eventually(() => seen() >= 20)

        await proxy.cut()
        const before = seen()
        await eventually(() => seen() >= before + 20, { what: 'more after the cut' })

        proxy.retarget(second.port)
        await first.sluice.drain({ withinMs: 5_000 })
        const drained = seen()
        await eventually(() => seen() >= drained + 20, { what: 'more after the drain' })
        expect(second.sluice.stats().subscriptions).toBe(1)

        numbers.unsubscribe()
        const ids = numbers.told.flatMap(told =>
          typeof told === 'object' ? [(told as { id: string }).id] : [],
        )
        expect(ids).toEqual(ids.map((_, index) => String(index + 1)))
        expect(numbers.told.filter(told => String(told).startsWith('error'))).toEqual([])
        await socket?.close()
        await first.close()
        await second.close()
      })
    }

    test('is asked to reconnect, and resumes', async () => {
      const app = await serve({ router: createCounting(), port: 0, host: '127.0.0.1' })
      await using proxy = await createFaultProxy({ target: app.url })
      const { client, close } = overWebSocket(proxy.httpUrl)
      const numbers = follow(client, 'numbers', {})
      await eventually(() => numbers.told.length >= 10)
      app.sluice.broadcastReconnectNotification()
      await eventually(() => proxy.accepted === 2, { what: 'a second connection' })
      const before = numbers.told.length
      await eventually(() => numbers.told.length > before + 10, { what: 'more from it' })
      numbers.unsubscribe()
      await close()
      await app.close()
    })
  },
)

test("a browser's EventSource, with nothing around it", async () => {
  const app = await start()
  const source = new EventSource(`${app.url}/ticks?input=${encodeURIComponent('{"n":3}')}`)
  const heard: string[] = []
  const done = new Promise<void>(resolve => {
    for (const type of ['connected', 'message', 'return']) {
      source.addEventListener(type, event => {
        heard.push(type === 'message' ? `${event.data} has ${event.lastEventId}` : `${type} ${event.data}`)
        if (type === 'return') resolve()
      })
    }
  })
  await done
  source.close()
  expect(heard).toEqual(['connected {}', '{"i":1} has 1', '{"i":2} has 2', '{"i":3} has 3', 'return '])
  await app.close()
})

test('curl -N shows events as they come, and its end ends the subscription', async () => {
  const app = await start()
  const curl = spawn('curl', ['-sN', `${app.url}/untilStopped`])
  let text = ''
  curl.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  await eventually(() => text === 'event: connected\ndata: {}\n\n\ndata: "ready"\n\n\n', { what: () => text })
  curl.kill()
  await eventually(() => app.sluice.stats().subscriptions === 0)
  await app.close()
})
