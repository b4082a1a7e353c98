import { initTRPC } from '@trpc/server'
import superjson from 'superjson'
import { expect, expectTypeOf, test } from 'vitest'
import { WebSocket } from 'ws'
import { createTopic } from 'trpc-sluice/server'
import { resumable } from 'trpc-sluice/shared'
import { createHarness, eventually } from 'trpc-sluice/testing'
import { z } from 'zod'

/** An application with one topic; each test has its own. */
function createApp() {
  const t = initTRPC.context<{ user: string }>().create({ transformer: superjson })
  const ticks = createTopic({ name: 'ticks', event: z.object({ n: z.number(), at: z.date() }) })
  const router = t.router({
    whoami: t.procedure.query(({ ctx }) => ctx.user),
    onTick: t.procedure
      .input(resumable({ key: z.string() }))
      .subscription(({ input, signal }) => ticks.subscribe(input.key, { after: input.lastEventId, signal })),
    fails: t.procedure.subscription(async function* () {
      yield 'one'
      throw new Error('as expected')
    }),
  })
  const createContext = () => ({ user: 'ann' })
  const publish = (...numbers: number[]) =>
    Promise.all(numbers.map(n => ticks.publish('a', { n, at: new Date(n) })))
  return { options: { router, createContext, transformer: superjson }, publish }
}

const complete = (delivered: number) => ({ delivered, missing: [], repeated: [], outOfOrder: [] })

test.each(['websocket', 'stream', 'sse'] as const)(
  'a subscriber over %s that comes back after a cut sees every event once, in order',
  async transport => {
    const { options, publish } = createApp()
    await using app = await createHarness({ ...options, transport })
    const seen = app.record(client => client.onTick, { key: 'a' })
    expectTypeOf(seen.items).toEqualTypeOf<readonly { id: string; data: { n: number; at: Date } }[]>()
    await seen.started
    await publish(1, 2)
    await app.proxy.cut()
    await publish(3)
    await seen.until(3)
    expect(seen.report(3)).toEqual(complete(3))
    expect(seen.items[0]?.data.at).toEqual(new Date(1))
    expect(app.proxy.accepted).toBeGreaterThan(1)
  },
)

test('queries and further clients go through the same proxy', async () => {
  const { options, publish } = createApp()
  await using app = await createHarness(options)
  expect(await app.client.whoami.query()).toBe('ann')
  const other = app.connect({ transport: 'sse' })
  const all = [app, other].map(({ record }) => record(client => client.onTick, { key: 'a' }))
  await Promise.all(all.map(({ started }) => started))
  await publish(1)
  await Promise.all(all.map(seen => seen.until(1)))
  await other.close()
  await publish(2)
  await all[0]?.until(2)
  expect(all[1]?.items.length).toBe(1)
})

test('after a restart on another port the clients go on where they were', async () => {
  const { options, publish } = createApp()
  await using app = await createHarness(options)
  const seen = app.record(client => client.onTick, { key: 'a' })
  await seen.started
  await publish(1)
  await seen.until(1)
  const before = app.sluice
  const restarted = app.restart()
  await publish(2)
  await restarted
  await publish(3)
  await seen.until(3)
  expect(seen.report(3)).toEqual(complete(3))
  expect(app.sluice).not.toBe(before)
})

test('a missed deadline says in which state the connection is', async () => {
  const { options } = createApp()
  await using app = await createHarness({ ...options, transport: 'websocket' })
  const seen = app.record(client => client.onTick, { key: 'a' })
  await seen.started
  await expect(seen.until(1, { withinMs: 20 })).rejects.toThrow(
    'Waited 20 ms for 1 items; delivered 0; last seen nothing; connection ready by websocket',
  )
  app.proxy.refuse()
  await app.proxy.cut()
  await expect(seen.until(1, { withinMs: 100 })).rejects.toThrow(/connection (opening|waiting)/)
})

test('a subscription that fails tells so to whoever waits for more', async () => {
  const { options } = createApp()
  await using app = await createHarness(options)
  const seen = app.record(client => client.fails)
  await seen.until(items => items.includes('one'))
  await expect(seen.until(items => items.length > 1)).rejects.toThrow('The stream ended before')
  expect(seen.error).toMatchObject({ message: 'as expected' })
})

test('when the harness ends, nothing is left open', async () => {
  const { options, publish } = createApp()
  const app = await createHarness(options)
  const seen = app.record(client => client.onTick, { key: 'a' })
  await seen.started
  const { proxy, url } = app
  await app.close()
  await app.close()
  expect(proxy.connections).toBe(0)
  await publish(1)
  expect(seen.items).toEqual([])
  const late = new WebSocket(url.replace('http', 'ws'))
  const refused = await new Promise<string>(resolve => late.on('error', error => resolve(error.message)))
  expect(refused).toContain('ECONNREFUSED')
  await eventually(() => activeSockets() === 0, { what: () => `no sockets; there are ${activeSockets()}` })
})

function activeSockets(): number {
  return process.getActiveResourcesInfo().filter(name => /TCP|Socket/.test(name)).length
}
