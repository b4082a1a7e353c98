/** The client comes back after every loss, goes on where it was, and stops when it is told to. */
import { createFaultProxy, eventually } from 'trpc-sluice/testing'
import { describe, expect, test } from 'vitest'
import { connect, follow, matrix, range } from './connect.ts'
import { freePort, startServer } from './server.ts'

const complete = (delivered: number) => ({ delivered, missing: [], repeated: [], outOfOrder: [] })

describe.each(matrix)('over $transport, from $kind', ({ kind, transport }) => {
  test('a server that restarts on its port is found again, and every event arrives once', async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport })
    const { seen } = follow(client)
    server.log.publish(...range(1, 10))
    await seen.until(10)

    await server.stop()
    server.log.publish(...range(11, 20))
    await eventually(() => client.states.filter(state => state === 'waiting').length >= 3)
    await server.start()
    await seen.until(20)

    server.log.publish(...range(21, 30))
    await seen.until(30)
    expect(seen.report(30)).toEqual(complete(30))
    expect(server.log.starts).toEqual([null, 10])
  })

  test('twenty cuts while events are published lose nothing and repeat nothing', async () => {
    await using server = await startServer(kind)
    await using proxy = await createFaultProxy({ target: server.url })
    using client = connect({ url: proxy.httpUrl, transport })
    const { seen } = follow(client)
    for (let cut = 0; cut < 20; cut++) {
      server.log.publish(...range(cut * 20 + 1, cut * 20 + 10))
      await seen.until(cut * 20 + 1)
      await proxy.cut({ how: cut % 2 === 0 ? 'rst' : 'fin' })
      server.log.publish(...range(cut * 20 + 11, cut * 20 + 20))
    }
    await seen.until(400)
    expect(seen.report(400)).toEqual(complete(400))
  })

  test('trap 13: a first connect that fails is retried like any other', async () => {
    const port = await freePort()
    using client = connect({ url: `http://127.0.0.1:${port}`, transport })
    const { seen, told } = follow(client)
    await eventually(() => client.states.filter(state => state === 'waiting').length >= 3)

    await using server = await startServer(kind)
    await using proxy = await createFaultProxy({ target: server.url, port })
    server.log.publish(1, 2)
    await seen.until(2)
    expect(told.filter(word => word.startsWith('error'))).toEqual([])
    expect(proxy.connections).toBe(1)
  })

  test('a silent server is noticed, though its sockets stay open', async () => {
    await using server = await startServer(kind)
    await using proxy = await createFaultProxy({ target: server.url })
    using client = connect({
      url: proxy.httpUrl,
      transport,
      connectTimeoutMs: 200,
      heartbeatMs: 100,
      heartbeatTimeoutMs: 100,
    })
    const { seen } = follow(client)
    server.log.publish(1)
    await seen.until(1)
    proxy.stall()
    server.log.publish(2)
    // Over HTTP a stock server promises no sign of life, and ours one in 30 s: there only a hint helps.
    if (transport !== 'websocket') client.link.connection.wake()
    await eventually(() => client.states.includes('waiting'))
    proxy.resume()
    await seen.until(2)
    expect(seen.report(2)).toEqual(complete(2))
  })

  test('unsubscribing stops everything: generator, retries, and sockets when nothing needs them', async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport, closeWhenIdleMs: 20 })
    const { seen, unsubscribe } = follow(client)
    server.log.publish(1)
    await seen.until(1)
    unsubscribe()
    await eventually(() => server.log.readers === 0)
    await eventually(() => client.link.connection.get().at === 'idle')
    if (transport === 'websocket') await eventually(() => server.openSockets === 0)
  })

  test('unsubscribing while it waits stops the attempts at once', async () => {
    using client = connect({ url: `http://127.0.0.1:${await freePort()}`, transport })
    const { unsubscribe } = follow(client)
    await eventually(() => client.link.connection.get().at === 'waiting')
    unsubscribe()
    expect(client.link.connection.get().at).toBe('idle')
  })

  test('unsubscribing while it connects leaves no generator behind', async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport, closeWhenIdleMs: 0 })
    for (let i = 0; i < 20; i++) {
      const { unsubscribe } = follow(client)
      if (i % 2 === 0) await Promise.resolve()
      unsubscribe()
    }
    const { seen, unsubscribe } = follow(client)
    server.log.publish(1)
    await seen.until(1)
    expect(server.log.readers).toBe(1)
    unsubscribe()
    await eventually(() => server.log.readers === 0)
  })

  test('close() ends all of it for good', async () => {
    await using server = await startServer(kind)
    const client = connect({ url: server.url, transport })
    const { seen, told } = follow(client)
    server.log.publish(1)
    await seen.until(1)
    client.link.close()
    client.link.close()
    expect(told.at(-1)).toBe('complete')
    await eventually(() => server.log.readers === 0)
    expect(client.link.connection.get()).toMatchObject({ at: 'closed', why: { code: 'LINK_CLOSED' } })
    const late = follow(client)
    expect(late.told).toEqual(['error: The link was closed.'])
    await expect(client.client.echo.query(1)).rejects.toMatchObject({ cause: { code: 'LINK_CLOSED' } })
  })
})

describe.each(['stock tRPC', 'Sluice'] as const)('over websocket, from %s', kind => {
  test("the server's wish for another connection is followed, with nothing lost and answers awaited", async () => {
    await using server = await startServer(kind)
    using client = connect({ url: server.url, transport: 'websocket' })
    const { seen, told } = follow(client)
    server.log.publish(1)
    await seen.until(1)
    const answer = client.client.nextEvent.query()
    await client.client.echo.query('sent after it, so the other has arrived')
    server.askToReconnect()
    await eventually(() => told.filter(word => word === 'started').length === 2)
    await eventually(() => server.log.readers === 1) // the old socket is still open, and brings the answer only
    expect(server.openSockets).toBe(2)
    server.log.publish(2)
    await seen.until(2)
    expect(await answer).toBe(2)
    expect(seen.report(2)).toEqual(complete(2))
    expect(server.log.starts).toEqual([null, 1])
    await eventually(() => server.openSockets === 1)
  })
})
