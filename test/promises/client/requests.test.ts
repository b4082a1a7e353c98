/** Queries and mutations on the link: each is answered once, or its caller learns what is known. */
import { initTRPC } from '@trpc/server'
import { createHarness, eventually } from 'trpc-sluice/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { connect, follow, matrix } from './connect.ts'
import { freePort, startServer } from './server.ts'

describe.each(matrix)('over $transport, from $kind', ({ kind, transport }) => {
  test('are answered, many at a time, through the transformer', async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport })
    const answers = await Promise.all(
      [1, new Date(2), null, { a: [3n] }].map(value => client.client.echo.query(value)),
    )
    expect(answers).toEqual([1, new Date(2), null, { a: [3n] }])
    expect(await client.client.add.mutate(5)).toBe(1)
  })

  test("are told the server's errors", async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport })
    await expect(client.client.add.mutate('no' as never)).rejects.toMatchObject({
      name: 'TRPCClientError',
      data: { code: 'BAD_REQUEST', path: 'add' },
    })
  })

  test('see the connection params', async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport, connectionParams: { token: 'me' } })
    expect(await client.client.whoami.query()).toBe('me')
  })

  test('carry forms, always over HTTP', async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport })
    const form = new FormData()
    form.set('name', 'a file')
    expect(await client.client.upload.mutate(form)).toBe('a file')
  })

  test('end with their signal', async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport })
    const abort = new AbortController()
    const answer = client.client.hang.mutate(undefined, { signal: abort.signal })
    await client.client.echo.query('now the other has been sent')
    abort.abort()
    await expect(answer).rejects.toThrow(/abort/i)
  })
})

test('one that was sent and whose connection is lost is given up: its outcome is unknown', async () => {
  await using server = await startServer('Sluice')
  using client = connect({ url: server.url, transport: 'websocket' })
  const answer = client.client.hang.mutate()
  answer.catch(() => {}) // asserted below
  await client.client.echo.query('now the other has been sent')
  server.cut()
  await expect(answer).rejects.toMatchObject({
    message: expect.stringContaining('may or may not have run'),
    cause: { code: 'OUTCOME_UNKNOWN' },
  })
})

test('one that was never sent waits for the connection, and runs once', async () => {
  const port = await freePort()
  await using server = await startServer('Sluice')
  await server.stop()
  server.port = port
  using client = connect({ url: server.url, transport: 'websocket' })
  const answer = client.client.add.mutate(1)
  await eventually(() => client.link.connection.get().at === 'waiting')
  await server.start()
  expect(await answer).toBe(1)
  expect(server.log.events).toEqual([1])
})

test('one that waits ends with its signal, and with it the attempts to connect', async () => {
  using client = connect({ url: `http://127.0.0.1:${await freePort()}`, transport: 'websocket' })
  const abort = new AbortController()
  const answer = client.client.echo.query(1, { signal: abort.signal })
  answer.catch(() => {}) // asserted below
  await eventually(() => client.link.connection.get().at === 'waiting')
  abort.abort()
  await expect(answer).rejects.toThrow(/abort/i)
  expect(client.link.connection.get().at).toBe('idle')
})

test('one whose input JSON refuses costs nobody else anything', async () => {
  await using server = await startServer('Sluice')
  using client = connect({ url: server.url, transport: 'websocket', transformer: undefined } as never)
  const circular: { self?: unknown } = {}
  circular.self = circular
  const { seen } = follow(client)
  const refused = client.client.echo.query(circular)
  await expect(refused).rejects.toThrow()
  server.log.publish(1)
  await eventually(() => seen.items.length === 1)
})

describe('over HTTP', () => {
  const start = async (headers: () => Promise<Record<string, string>> = async () => ({})) => {
    const t = initTRPC.create()
    const saved: unknown[] = []
    const router = t.router({
      echo: t.procedure.input(z.unknown()).query(({ input }) => ({ got: input })),
      save: t.procedure.input(z.unknown()).mutation(({ input }) => saved.push(input)),
    })
    const harness = await createHarness({ router, transport: 'sse', link: { headers } })
    return { saved, client: harness.client, [Symbol.asyncDispose]: () => harness.close() }
  }

  test('one whose input JSON refuses is told so, and costs those of its turn nothing', async () => {
    await using app = await start()
    const asked = [1n, 2, undefined, [3]].map(value => app.client.echo.query(value))
    await expect(asked[0]).rejects.toThrow(/BigInt/)
    expect(await Promise.all(asked.slice(1))).toEqual([{ got: 2 }, {}, { got: [3] }])
    await expect(app.client.save.mutate(1n)).rejects.toThrow(/BigInt/)
  })

  test('one that is taken back while its headers are asked for is not sent', async () => {
    let ask = () => {}
    let answer = () => {}
    const asked = new Promise<void>(resolve => (ask = resolve))
    const headers = new Promise<void>(resolve => (answer = resolve))
    await using app = await start(async () => {
      ask()
      await headers
      return {}
    })
    const wish = new AbortController()
    const taken = app.client.save.mutate('taken back', { signal: wish.signal })
    await asked
    wish.abort()
    await expect(taken).rejects.toThrow(/abort/i)
    answer()
    await app.client.save.mutate('kept')
    expect(app.saved).toEqual(['kept'])
  })
})

test('an idle WebSocket is closed after a while, and opened again when it is needed', async () => {
  await using server = await startServer('Sluice')
  using client = connect({ url: server.url, transport: 'websocket', closeWhenIdleMs: 20 })
  expect(await client.client.echo.query(1)).toBe(1)
  await eventually(() => server.openSockets === 0)
  expect(client.link.connection.get().at).toBe('idle')
  expect(await client.client.echo.query(2)).toBe(2)
  expect(server.accepted).toBe(2)
})
