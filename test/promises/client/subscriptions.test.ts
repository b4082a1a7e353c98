/** What a subscription is told, by our link as by tRPC's own, and what it may do in its callbacks. */
import { createServer } from 'node:http'
import { initTRPC, tracked } from '@trpc/server'
import { resumable } from 'trpc-sluice/server'
import { toReadableStream } from 'trpc-sluice/shared'
import { iterate } from 'trpc-sluice/client'
import { msgpackCodec } from 'trpc-sluice/codecs/msgpack'
import { createHarness, eventually } from 'trpc-sluice/testing'
import { WebSocketServer } from 'ws'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { listen } from '../../support/listen.ts'
import { connect, follow, matrix, range } from './connect.ts'
import { startServer } from './server.ts'

describe.each(matrix)('over $transport, from $kind', ({ kind, transport }) => {
  test('events come through the transformer, tracked ones with their id', async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport })
    const { seen, told } = follow(client)
    server.log.publish(7)
    await seen.until(1)
    expect(seen.items).toEqual([{ id: '7', data: { n: 7, at: new Date(0) } }])
    expect(told).toEqual(['connecting', 'started', 'pending'])
  })

  test('it begins after the id that the application gave', async () => {
    await using server = await startServer(kind)
    server.log.publish(...range(1, 5))
    using client = connect({ url: server.url, transport })
    const { seen } = follow(client, { lastEventId: '3' })
    await seen.until(2)
    expect(seen.numbers).toEqual([4, 5])
  })

  test('trap 17: one that is finished completes, and is not started again by a reconnect', async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport })
    const { seen } = follow(client)
    const got: unknown[] = []
    client.client.countTo.subscribe(3, {
      onData: n => got.push(n),
      onStopped: () => got.push('stopped'),
      onComplete: () => got.push('complete'),
      onConnectionStateChange: ({ state }) => got.push(state),
    })
    await eventually(() => got.includes('complete'))
    expect(got).toEqual(['connecting', 'pending', 1, 2, 3, 'stopped', 'idle', 'complete'])
    server.cut()
    server.log.publish(1)
    await seen.until(1)
    expect(got).toHaveLength(8)
  })

  test("an error of the procedure is final, with the server's shape", async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport })
    const error = await new Promise<unknown>(resolve =>
      client.client.failing.subscribe(undefined, { onError: resolve }),
    )
    expect(error).toMatchObject({
      name: 'TRPCClientError',
      message: 'on purpose',
      data: { code: 'CONFLICT', httpStatus: 409, path: 'failing' },
    })
  })

  test('an unknown procedure is an error of its own subscription', async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport })
    const { seen } = follow(client)
    const stranger = client.client as unknown as { nowhere: typeof client.client.failing }
    const error = await new Promise<unknown>(resolve =>
      stranger.nowhere.subscribe(undefined, { onError: resolve }),
    )
    expect(error).toMatchObject({ data: { code: 'NOT_FOUND' } })
    server.log.publish(1)
    await seen.until(1)
  })

  test('connection params are asked afresh at each connect', async () => {
    await using server = await startServer(kind)
    let asked = 0
    using client = connect({
      url: () => Promise.resolve(server.url),
      transport,
      connectionParams: () => ({ token: (asked += 1) < 2 ? 'bad' : 'good' }),
    })
    const failed = await new Promise<unknown>(resolve =>
      client.client.guarded.subscribe(undefined, { onError: resolve }),
    )
    expect(failed).toMatchObject({ data: { code: 'UNAUTHORIZED' } })
    follow(client)
    server.cut()
    const got = await new Promise<string>(resolve =>
      client.client.guarded.subscribe(undefined, { onData: resolve }),
    )
    expect(got).toBe('token good')
  })

  test('params that cannot be had are a failed attempt, told to onError', async () => {
    await using server = await startServer(kind)
    let asked = 0
    using client = connect({
      url: server.url,
      transport,
      connectionParams: () =>
        (asked += 1) < 3 ? Promise.reject(new Error('no token yet')) : { token: 'good' },
    })
    const got = await new Promise<string>(resolve =>
      client.client.guarded.subscribe(undefined, { onData: resolve }),
    )
    expect(got).toBe('token good')
    expect(client.errors.map(error => error.message)).toEqual(['no token yet', 'no token yet'])
  })

  test('trap 4: subscribing and unsubscribing within callbacks', async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport })
    const inner: unknown[] = []
    const outer = client.client.onLog.subscribe(
      {},
      {
        onData: ({ data }) => {
          outer.unsubscribe()
          client.client.countTo.subscribe(data.n, { onData: n => inner.push(n) })
        },
      },
    )
    server.log.publish(2, 3, 4)
    await eventually(() => inner.length === 2)
    await eventually(() => server.log.readers === 0)
    expect(inner).toEqual([1, 2])
  })

  test('a callback that throws is told to onError, and the others go on', async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport })
    client.client.onLog.subscribe(
      {},
      {
        onData: () => {
          throw new Error('of the application')
        },
      },
    )
    const { seen } = follow(client)
    server.log.publish(1, 2)
    await seen.until(2)
    await eventually(() => client.errors.length === 2)
    expect(client.errors.map(error => error.message)).toEqual(['of the application', 'of the application'])
  })

  test("the operation's signal ends it", async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport })
    const abort = new AbortController()
    const told: string[] = []
    client.client.onLog.subscribe(
      {},
      {
        signal: abort.signal,
        onStarted: () => told.push('started'),
        onComplete: () => told.push('complete'),
      },
    )
    await eventually(() => server.log.readers === 1)
    abort.abort()
    await eventually(() => server.log.readers === 0)
    expect(told.at(-1)).toBe('complete')
  })

  describe('iterate', () => {
    test('yields each event, ends with the subscription, and throws its error', async () => {
      await using server = await startServer(kind)
      using client = connect({ url: server.url, transport })
      const got: number[] = []
      for await (const n of iterate(client.client.countTo, 3)) got.push(n)
      expect(got).toEqual([1, 2, 3])
      const failing = iterate(client.client.failing, undefined)
      expect(await failing.next()).toEqual({ done: false, value: 1 })
      await expect(failing.next()).rejects.toMatchObject({ data: { code: 'CONFLICT' } })
      expect(await failing.next()).toEqual({ done: true, value: undefined })
    })

    test('leaving the loop ends the subscription; so does the signal', async () => {
      await using server = await startServer(kind)
      using client = connect({ url: server.url, transport })
      server.log.publish(1, 2)
      for await (const { data } of iterate(client.client.onLog, {})) {
        expect(data.n).toBe(1)
        break
      }
      await eventually(() => server.log.readers === 0)

      const abort = new AbortController()
      const got: number[] = []
      for await (const { data } of iterate(client.client.onLog, {}, { signal: abort.signal })) {
        got.push(data.n)
        if (got.length === 2) abort.abort()
      }
      expect(got).toEqual([1, 2])
      await eventually(() => server.log.readers === 0)
    })

    test('is a web stream too', async () => {
      await using server = await startServer(kind)
      using client = connect({ url: server.url, transport })
      const reader = toReadableStream(iterate(client.client.countTo, 2)).getReader()
      expect(await reader.read()).toEqual({ done: false, value: 1 })
      expect(await reader.read()).toEqual({ done: false, value: 2 })
      expect(await reader.read()).toEqual({ done: true, value: undefined })
    })

    test('goes on over a reconnect without a word', async () => {
      await using server = await startServer(kind)
      using client = connect({ url: server.url, transport })
      server.log.publish(1)
      const got: number[] = []
      for await (const { data } of iterate(client.client.onLog, {})) {
        got.push(data.n)
        if (data.n === 1) {
          server.cut()
          server.log.publish(2)
        }
        if (data.n === 2) break
      }
      expect(got).toEqual([1, 2])
    })
  })
})

test('a server that talks nonsense is left, told to onError, and tried again', async () => {
  const server = createServer()
  const wss = new WebSocketServer({ server })
  const nonsense = ['nonsense', '[1]', '{"id":1,"result":5}', Buffer.from([1, 2, 3])]
  let connections = 0
  wss.on('connection', socket => socket.send(nonsense[connections++ % nonsense.length] ?? ''))
  await using listening = await listen(server)
  using client = connect({ url: listening.url, transport: 'websocket' })
  follow(client)
  await eventually(() => connections >= nonsense.length)
  await eventually(() => client.errors.length >= nonsense.length)
  for (const error of client.errors) expect(error).toMatchObject({ code: 'MESSAGE_INVALID' })
})

test.each([
  { transport: 'websocket' },
  { transport: 'stream' },
  { transport: 'sse' },
  // Which would carry it over a WebSocket.
  { transport: 'stream', codec: msgpackCodec() },
  { transport: 'sse', codec: msgpackCodec() },
] as const)(
  'one whose input JSON refuses is told so, and costs nobody else anything, also after a cut: %o',
  async link => {
    const t = initTRPC.create()
    const router = t.router({
      echo: t.procedure.input(resumable({ value: z.unknown() })).subscription(async function* ({
        input,
        signal,
      }) {
        yield tracked('1', input.value)
        await new Promise(resolve => signal?.addEventListener('abort', resolve))
      }),
    })
    await using app = await createHarness({ router, transport: link.transport, link })
    const refused = app.record(client => client.echo, { value: 1n })
    const others = [app.record(client => client.echo, { value: 2 })]
    await expect(refused.started).rejects.toThrow(/BigInt/)
    await eventually(() => others[0]?.items.length === 1)
    await app.proxy.cut()
    others.push(app.record(client => client.echo, { value: 3 }))
    await eventually(() => others[1]?.items.length === 1)
    await app.proxy.cut()
    await eventually(() => app.sluice.stats().subscriptions === 2)
  },
)
