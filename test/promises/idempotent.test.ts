/** A mutation that may be sent again runs once: whoever repeats it gets the result of the one run. */
import { createHash } from 'node:crypto'
import { createTRPCClient, httpBatchLink, httpLink, type TRPCClient } from '@trpc/client'
import { initTRPC, type AnyRouter } from '@trpc/server'
import superjson from 'superjson'
import { sluiceLink, type SluiceLinkOptions } from 'trpc-sluice/client'
import { msgpackCodec } from 'trpc-sluice/codecs/msgpack'
import { expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { idempotent, memoryStore, serve, type Store } from 'trpc-sluice/server'
import { systemClock, type Clock } from 'trpc-sluice/shared'
import { createFakeClock } from 'trpc-sluice/testing'
import { z } from 'zod'
import { withIdempotencyKey } from '../../server/procedures/idempotency-key.ts'
import { lmdbStore } from '../../server/stores/lmdb/index.ts'
import { RawWebSocket } from '../interop/support/raw-websocket.ts'
import { eventually } from '../kit/deadline.ts'
import { createFolder } from '../stores/support/folder.ts'

interface User {
  readonly name: string
}

const t = initTRPC.context<User>().create()

function createApp(store: Store, clock: Clock) {
  const ran: string[] = []
  let gate: Promise<void> | null = null
  const once = idempotent({ store, user: (ctx: User) => ctx.name, clock })
  const router = t.router({
    pay: t.procedure
      .input(z.object({ to: z.string() }))
      .use(once)
      .mutation(async ({ input }) => {
        ran.push(input.to)
        await gate
        if (input.to === 'nobody') throw new Error('There is nobody of that name.')
        return { receipt: ran.length, at: new Date(0) }
      }),
    other: t.procedure
      .input(z.object({ to: z.string() }))
      .use(once)
      .mutation(() => 'other'),
  })
  return {
    router,
    ran,
    /** Holds every run until it is called. */
    hold() {
      let open = () => {}
      gate = new Promise(resolve => (open = resolve))
      return () => open()
    },
  }
}

async function start(clock: Clock = createFakeClock(), store: Store = memoryStore({ clock })) {
  const app = createApp(store, clock)
  const served = await serve({
    router: app.router,
    port: 0,
    host: '127.0.0.1',
    createContext: ({ info }) => ({ name: info.connectionParams?.['user'] ?? 'ann' }),
  })
  /** Over HTTP. */
  const post = async (path: string, input: object, key?: string, user = 'ann'): Promise<unknown> => {
    const params = encodeURIComponent(JSON.stringify({ user }))
    const response = await fetch(`${served.url}/${path}?connectionParams=${params}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key !== undefined && { 'idempotency-key': key }) },
      body: JSON.stringify(input),
    })
    const { result, error } = (await response.json()) as {
      result?: { data: unknown }
      error?: { message: string; data: { sluice?: { code: string } } }
    }
    return error ? (error.data.sluice?.code ?? error.message) : result?.data
  }
  return { ...app, served, post, [Symbol.asyncDispose]: () => served.close() }
}

/** A mutation that fails until it is mended, called in the process. */
function createFlaky(store: Store, clock: Clock) {
  let tries = 0
  let mended = false
  const router = t.router({
    pay: t.procedure.use(idempotent({ store, clock })).mutation(() => {
      tries += 1
      if (!mended) throw new Error('not yet')
      return tries
    }),
  })
  const { pay } = router.createCaller({ name: 'ann' })
  return {
    pay: (key: string) => withIdempotencyKey(key, ['pay'], () => pay()),
    mend: () => (mended = true),
    logOf: (key: string) => `idempotent/${createHash('sha256').update(key).digest('base64url')}`,
  }
}

const receipt = (number: number) => ({ receipt: number, at: new Date(0).toJSON() })

test('the same key has the same answer, over HTTP and over WebSocket, and runs once', async () => {
  await using app = await start()
  expect(await app.post('pay', { to: 'bob' }, 'k1')).toEqual(receipt(1))
  expect(await app.post('pay', { to: 'bob' }, 'k1')).toEqual(receipt(1))
  const socket = await RawWebSocket.open(app.served.url)
  const params = { path: 'pay', input: { to: 'bob' }, idempotencyKey: 'k1' }
  socket.send({ id: 1, method: 'mutation', params })
  await socket.until(JSON.stringify({ id: 1, result: { type: 'data', data: receipt(1) } }))
  expect(app.ran).toEqual(['bob'])
  expect(await app.post('pay', { to: 'bob' }, 'k2')).toEqual(receipt(2))
  expect(await app.post('pay', { to: 'bob' })).toEqual(receipt(3))
  expect(await app.post('pay', { to: 'bob' })).toEqual(receipt(4))
})

test('the same key in flight waits for the one that runs', async () => {
  await using app = await start()
  const open = app.hold()
  const first = app.post('pay', { to: 'bob' }, 'k')
  await eventually(() => app.ran.length === 1)
  const others = Array.from({ length: 10 }, () => app.post('pay', { to: 'bob' }, 'k'))
  open()
  expect(await Promise.all([first, ...others])).toEqual(Array.from({ length: 11 }, () => receipt(1)))
  expect(app.ran).toEqual(['bob'])
})

test('a key that was used for something else, or by somebody else, is refused', async () => {
  await using app = await start()
  await app.post('pay', { to: 'bob' }, 'k')
  expect(await app.post('pay', { to: 'eve' }, 'k')).toBe('IDEMPOTENCY_CONFLICT')
  expect(await app.post('other', { to: 'bob' }, 'k')).toBe('IDEMPOTENCY_CONFLICT')
  expect(await app.post('pay', { to: 'bob' }, 'k', 'eve')).toBe('IDEMPOTENCY_CONFLICT')
  expect(await app.post('pay', { to: 'bob' }, 'k'.repeat(201))).toBe('IDEMPOTENCY_CONFLICT')
  expect(app.ran).toEqual(['bob'])
})

test.each([
  ['for something else', { to: 'eve' }, 'ann'],
  ['by somebody else', { to: 'bob' }, 'eve'],
])('so is one that was used %s just before it was our turn', async (_, input, user) => {
  const clock = createFakeClock()
  const store = memoryStore({ clock })
  await using app = await start(clock, store)
  const acquire = store.acquireLease.bind(store)
  let proceed = () => {}
  const acquiring = new Promise<void>(resolve => {
    vi.spyOn(store, 'acquireLease').mockImplementationOnce(async (...lease) => {
      resolve()
      await new Promise<void>(go => (proceed = go))
      return acquire(...lease)
    })
  })
  const late = app.post('pay', input, 'k', user)
  await acquiring // it has seen that nobody has used the key
  expect(await app.post('pay', { to: 'bob' }, 'k')).toEqual(receipt(1))
  proceed()
  expect(await late).toBe('IDEMPOTENCY_CONFLICT')
  expect(app.ran).toEqual(['bob'])
})

test('a batch is refused under one key, for which of its calls has run could not be told when some are sent again', async () => {
  await using app = await start()
  const client = createTRPCClient<typeof app.router>({
    links: [httpBatchLink({ url: app.served.url, headers: { 'idempotency-key': 'k' } })],
  })
  const calls = await Promise.allSettled([
    client.pay.mutate({ to: 'bob' }),
    client.other.mutate({ to: 'bob' }),
  ])
  for (const call of calls) {
    expect(call).toMatchObject({
      status: 'rejected',
      reason: {
        data: { sluice: { code: 'IDEMPOTENCY_CONFLICT' } },
        message: expect.stringContaining('batch of 2'),
      },
    })
  }
  expect(app.ran).toEqual([])
  // One that has a batch to itself is told from others by its key.
  expect(await client.pay.mutate({ to: 'bob' })).toEqual(receipt(1))
  expect(await client.pay.mutate({ to: 'bob' })).toEqual(receipt(1))
  expect(app.ran).toEqual(['bob'])
})

test.each([
  ['plain JSON', undefined, { to: 'bob', at: new Date(0), cents: -0, note: undefined, of: [undefined] }],
  [
    'superjson',
    superjson,
    { to: 'bob', at: new Date(0), ids: new Set([1n]), bytes: new Uint8Array([1, 2]), note: undefined },
  ],
])('what is sent again by another carrier and codec than %s is the same', async (_, transformer, input) => {
  const t = initTRPC.create({ ...(transformer && { transformer }) })
  let runs = 0
  const router = t.router({
    pay: t.procedure
      .input(z.unknown())
      .use(idempotent({ store: memoryStore() }))
      .mutation(() => (runs += 1)),
  })
  await using served = await serve({ router, port: 0, host: '127.0.0.1', codecs: [msgpackCodec()] })
  const send = async (input: unknown, way: Pick<SluiceLinkOptions<AnyRouter>, 'transport' | 'codec'>) => {
    const options = { url: served.url, WebSocket, ...(transformer && { transformer }), ...way }
    const link = sluiceLink(options as SluiceLinkOptions<AnyRouter>)
    const client = createTRPCClient({ links: [link] }) as TRPCClient<typeof router>
    const result = await client.pay.mutate(input, { context: { idempotencyKey: 'k' } })
    link.close()
    return result
  }
  const { to, ...rest } = input
  expect(await send(input, { transport: 'websocket', codec: msgpackCodec() })).toBe(1)
  expect(await send(input, { transport: 'websocket' })).toBe(1)
  expect(await send({ ...rest, to }, { transport: 'stream' })).toBe(1)
  await expect(send({ ...rest, to: 'eve' }, { transport: 'stream' })).rejects.toThrow('something else')
})

test('an input whose parts refer to one another time and again is told from others in no time, and so is one that refers to itself', async () => {
  const t = initTRPC.create({ transformer: superjson })
  const router = t.router({
    pay: t.procedure
      .input(z.object({ to: z.string() }))
      .use(idempotent({ store: memoryStore() }))
      .mutation(() => 'paid'),
  })
  // A circle has no end, so it comes in only where there is no limit.
  const limits = { maxDepth: Number.MAX_SAFE_INTEGER }
  await using served = await serve({ router, port: 0, host: '127.0.0.1', limits })
  const pay = async (input: object, key: string): Promise<string> => {
    const response = await fetch(`${served.url}/pay`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify(input),
    })
    return response.text()
  }
  // Each has the next one twice: written out, the last one would be there 2 ** 40 times.
  const levels = Array.from({ length: 40 }, (_, i) => i)
  const doubling = (to: string, leaf: string) => ({
    json: {
      to,
      ...Object.fromEntries(levels.map(i => [`at${i}`, { l: null, r: null }])),
      at40: { leaf },
    },
    meta: {
      referentialEqualities: Object.fromEntries(
        levels.toReversed().map(i => [`at${i + 1}`, [`at${i}.l`, `at${i}.r`]]),
      ),
    },
  })
  expect(await pay(doubling('bob', 'x'), 'k')).toContain('paid')
  expect(await pay(doubling('bob', 'x'), 'k')).toContain('paid')
  expect(await pay(doubling('bob', 'y'), 'k')).toContain('IDEMPOTENCY_CONFLICT')
  const circle = (to: string) => ({
    json: { to, of: { itself: null } },
    meta: { referentialEqualities: { of: ['of.itself'] } },
  })
  expect(await pay(circle('bob'), 'l')).toContain('paid')
  expect(await pay(circle('bob'), 'l')).toContain('paid')
  expect(await pay(circle('eve'), 'l')).toContain('IDEMPOTENCY_CONFLICT')
})

test('inputs that differ in what JSON has no word for are told from one another', async () => {
  const t = initTRPC.create({ transformer: superjson })
  const router = t.router({
    pay: t.procedure
      .input(z.unknown())
      .use(idempotent({ store: memoryStore() }))
      .mutation(() => 'paid'),
  })
  await using served = await serve({ router, port: 0, host: '127.0.0.1', codecs: [msgpackCodec()] })
  const options = { url: served.url, WebSocket, transformer: superjson, transport: 'websocket' } as const
  const link = sluiceLink<typeof router>({ ...options, codec: msgpackCodec() })
  const client = createTRPCClient<typeof router>({ links: [link] })
  const pairs: [unknown, unknown][] = [
    [1n, 2n],
    [/a/, /b/],
    [new Error('a'), new Error('b')],
    [new Uint8Array([1]), new Uint8Array([2])],
    [new Uint8Array([1]).buffer, new Uint8Array([2]).buffer],
    [new Map([['a', 1]]), new Map([['a', 2]])],
    [new Set([1]), new Set([2])],
    [
      [{ a: 1 }, { a: 2 }],
      [{ a: 2 }, { a: 1 }],
    ],
    ['#0', {}],
  ]
  for (const [i, [one, other]] of pairs.entries()) {
    const context = { idempotencyKey: `k${i}` }
    expect(await client.pay.mutate({ of: one }, { context })).toBe('paid')
    expect(await client.pay.mutate({ of: one }, { context })).toBe('paid')
    await expect(client.pay.mutate({ of: other }, { context })).rejects.toThrow('something else')
  }
  link.close()
})

test('one that failed may be tried again under its key', async () => {
  await using app = await start()
  expect(await app.post('pay', { to: 'nobody' }, 'k')).toBe('There is nobody of that name.')
  expect(await app.post('pay', { to: 'nobody' }, 'k')).toBe('There is nobody of that name.')
  expect(app.ran).toEqual(['nobody', 'nobody'])
})

test('one that failed very often is remembered as it ended, and its log stays short', async () => {
  const clock = createFakeClock()
  const store = memoryStore({ clock })
  const caller = createFlaky(store, clock)
  // More than are read of any log at once.
  for (let tries = 0; tries < 510; tries++) await expect(caller.pay('k')).rejects.toThrow('not yet')
  caller.mend()
  expect(await caller.pay('k')).toBe(511)
  expect(await caller.pay('k')).toBe(511)
  const { state } = await store.read(caller.logOf('k'), 0, { maxEvents: 1, maxBytes: 1 })
  expect(state && state.last - state.first).toBe(1)
})

test('one that has not run, because the store failed just before, may be tried again', async () => {
  const clock = createFakeClock()
  const store = memoryStore({ clock })
  vi.spyOn(store, 'expire').mockRejectedValueOnce(new Error('The store is away.'))
  await using app = await start(clock, store)
  expect(await app.post('pay', { to: 'bob' }, 'k')).toBe('The store is away.')
  expect(app.ran).toEqual([])
  expect(await app.post('pay', { to: 'bob' }, 'k')).toEqual(receipt(1))
  expect(app.ran).toEqual(['bob'])
})

test.each([true, false])(
  'what a mutation calls in its turn has no key, be it idempotent itself (%s)',
  async is => {
    const clock = createFakeClock()
    const once = idempotent({ store: memoryStore({ clock }), clock })
    const charge = t.procedure
      .input(z.string())
      .use(once)
      .mutation(({ input }) => `charged ${input}`)
    const procedure = is ? t.procedure.use(once) : t.procedure
    const router = t.router({
      charge,
      buy: procedure.input(z.object({})).mutation(async () => {
        const caller = t.router({ charge }).createCaller({ name: 'ann' })
        return [await caller.charge('a'), await caller.charge('b')]
      }),
    })
    await using served = await serve({
      router,
      port: 0,
      host: '127.0.0.1',
      createContext: () => ({ name: 'ann' }),
    })
    const headers = { 'idempotency-key': 'k' }
    const client = createTRPCClient<typeof router>({ links: [httpLink({ url: served.url, headers })] })
    expect(await client.buy.mutate({})).toEqual(['charged a', 'charged b'])
    await using socket = await RawWebSocket.open(served.url)
    socket.send({ id: 1, method: 'mutation', params: { path: 'buy', input: {}, idempotencyKey: 'l' } })
    await socket.until(JSON.stringify({ id: 1, result: { type: 'data', data: ['charged a', 'charged b'] } }))
  },
)

test('a result is remembered across servers and restarts', async () => {
  const folder = await createFolder()
  const store = lmdbStore({ path: folder.path })
  for (const runs of [['bob'], []]) {
    await using app = await start(systemClock, store)
    expect(await app.post('pay', { to: 'bob' }, 'k')).toEqual(receipt(1))
    expect(app.ran).toEqual(runs)
  }
  await store.close()
  await folder.remove()
})

test('a result is forgotten after its window', async () => {
  const clock = createFakeClock()
  await using app = await start(clock)
  await app.post('pay', { to: 'bob' }, 'k')
  await clock.advance(24 * 3_600_000)
  expect(await app.post('pay', { to: 'bob' }, 'k')).toEqual(receipt(2))
})

test('one whose server died in the middle is not run again: nobody knows how far it came', async () => {
  const clock = createFakeClock()
  const store = memoryStore({ clock })
  // Time stands still for the one that dies: it renews nothing any more.
  await using dying = await start(createFakeClock(), store)
  const open = dying.hold()
  const lost = dying.post('pay', { to: 'bob' }, 'k')
  await eventually(() => dying.ran.length === 1)

  await using next = await start(clock, store)
  const repeated = next.post('pay', { to: 'bob' }, 'k')
  await clock.advance(10_000)
  expect(await repeated).toBe('OUTCOME_UNKNOWN')
  expect(next.ran).toEqual([])
  open()
  await lost
})
