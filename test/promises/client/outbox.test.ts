/** The outbox: what was said while there was no connection is done, once, in order, however often it has to be sent. */
import { initTRPC, TRPCError } from '@trpc/server'
import { sluiceLink } from 'trpc-sluice/client'
import { createOutbox, memoryOutboxStorage, type OutboxOptions, type OutboxStorage } from 'trpc-sluice/outbox'
import { idempotent, memoryStore } from 'trpc-sluice/server'
import { isSluiceError } from 'trpc-sluice/shared'
import superjson from 'superjson'
import { createFakeClock, createHarness, eventually, seededRandom } from 'trpc-sluice/testing'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'

/** `npm run test:outbox -- --increments 5000`. */
const increments = Number(process.env['OUTBOX_INCREMENTS'] ?? 500)

const t = initTRPC.create()

function createApp() {
  const done: number[] = []
  const byClient = new Map<string, number[]>()
  const once = idempotent({ store: memoryStore() })
  const router = t.router({
    add: t.procedure
      .input(z.object({ client: z.string().default(''), n: z.number() }))
      .use(once)
      .mutation(({ input: { client, n } }) => {
        if (n < 0) throw new TRPCError({ code: 'BAD_REQUEST', message: `${n} is negative.` })
        done.push(n)
        byClient.set(client, [...(byClient.get(client) ?? []), n])
        return n * 2
      }),
    hello: t.procedure.query(() => 'hello'),
  })
  return { router, done, byClient }
}

async function start(transport: 'websocket' | 'sse' = 'websocket') {
  const { router, ...app } = createApp()
  const harness = await createHarness({ router, transport })
  const connect = (options?: OutboxOptions) => {
    const outbox = createOutbox(options)
    return { outbox, ...harness.connect({ outbox }) }
  }
  return { ...app, harness, connect, [Symbol.asyncDispose]: () => harness.close() }
}

/** A storage whose writing its test can hold up. */
function createSlowStorage(storage = memoryOutboxStorage()) {
  const gates = { put: Promise.resolve(), delete: Promise.resolve() }
  const slow: OutboxStorage = {
    ...storage,
    put: mutation => gates.put.then(() => storage.put(mutation)),
    delete: id => gates.delete.then(() => storage.delete(id)),
  }
  /** Holds what is written from now on; returns what lets it go on. */
  const hold = (what: keyof typeof gates) => {
    let release = () => {}
    gates[what] = new Promise(resolve => (release = resolve))
    return release
  }
  return { storage: slow, hold }
}

/** A page with the storage that it shares with the next one: once it is dead, it writes and holds nothing any more. */
function createMortalPage() {
  const storage = memoryOutboxStorage()
  const { storage: slow, hold } = createSlowStorage(storage)
  const held: (() => void)[] = []
  let dead = false
  const never = new Promise<never>(() => {})
  const unlessDead = <T>(write: () => Promise<T>) => (dead ? never : write())
  const own: OutboxStorage = {
    load: () => slow.load(),
    put: mutation => unlessDead(() => slow.put(mutation)),
    delete: id => unlessDead(() => slow.delete(id)),
    async claim(owner) {
      const release = await storage.claim(owner)
      if (release) held.push(release)
      return release
    },
  }
  const die = () => {
    dead = true
    for (const release of held) release()
  }
  return { page: { storage: own, hold }, die, storage }
}

const codeOf = (error: unknown) => {
  const { cause } = error as Error
  return isSluiceError(cause) ? cause.code : (error as Error).message
}

describe.each(['websocket', 'sse'] as const)('beside %s', transport => {
  test('mutations that are made while there is no connection wait, and are done in order', async () => {
    await using app = await start(transport)
    const { client, outbox } = app.connect()
    app.harness.proxy.refuse()
    const answers = [1, 2, 3].map(n => client.add.mutate({ n }))
    await eventually(() => outbox.get().length === 3)
    expect(outbox.get().map(({ path, input }) => [path, input])).toEqual([1, 2, 3].map(n => ['add', { n }]))
    expect(app.done).toEqual([])
    app.harness.proxy.accept()
    expect(await Promise.all(answers)).toEqual([2, 4, 6])
    expect(app.done).toEqual([1, 2, 3])
    expect(outbox.get()).toEqual([])
  })

  test('each runs once and in order per client, whatever breaks, also when the answer was lost', async () => {
    await using app = await start(transport)
    const random = seededRandom(1)
    const { proxy } = app.harness
    const clients = Array.from({ length: 5 }, (_, i) => ({
      name: `client ${i}`,
      ...app.connect({ maxMutations: increments }),
    }))
    const numbers = Array.from({ length: increments / clients.length }, (_, i) => i + 1)
    const answers = clients.flatMap(({ client, name }) =>
      numbers.map(n => client.add.mutate({ client: name, n })),
    )
    let waiting = true
    const all = Promise.all(answers).finally(() => (waiting = false))
    let cuts = 0
    for (; waiting; cuts++) {
      const due = app.done.length + 1 + Math.floor(random() * 15)
      await Promise.race([eventually(() => app.done.length >= due || !waiting), all])
      // In mid-frame: the server has done it, and half of the answer is all that comes.
      const cut = proxy.cut({ midFrame: random() < 0.7, how: random() < 0.5 ? 'rst' : 'fin' })
      if (random() < 0.2) await app.harness.restart()
      void cut
    }
    expect(await all).toEqual(clients.flatMap(() => numbers.map(n => n * 2)))
    expect(app.byClient).toEqual(new Map(clients.map(({ name }) => [name, numbers])))
    console.log(`${increments} increments over ${cuts} cuts, each applied once, in order`)
  })
})

test('one that the server refuses is told to who waits, and does not hold up those behind it', async () => {
  await using app = await start()
  const { client, outbox } = app.connect()
  const refused = client.add.mutate({ n: -1 })
  const done = client.add.mutate({ n: 1 })
  await expect(refused).rejects.toThrow('-1 is negative.')
  expect(await done).toBe(2)
  expect(outbox.get()).toEqual([])
})

test('what a page has left behind is sent by the next one, in order; what is refused then can be seen and retried', async () => {
  await using app = await start()
  const storage = memoryOutboxStorage()
  app.harness.proxy.refuse()
  const first = app.connect({ storage })
  const lost = [1, -2, 3].map(n => first.client.add.mutate({ n }).catch(codeOf))
  await eventually(() => first.outbox.get().length === 3)
  await first.close()
  expect(await Promise.all(lost)).toEqual(['LINK_CLOSED', 'LINK_CLOSED', 'LINK_CLOSED'])
  expect(await storage.load()).toHaveLength(3)

  app.harness.proxy.accept()
  const { client, outbox } = app.connect({ storage })
  // Before it has looked for what was left behind, which is older all the same.
  const own = client.add.mutate({ n: 4 })
  await eventually(() => app.done.length === 3 && outbox.get().length === 1)
  expect(app.done).toEqual([1, 3, 4])
  expect(await own).toBe(8)
  const [failed] = outbox.get()
  expect(failed).toMatchObject({ path: 'add', input: { n: -2 }, status: 'failed' })
  expect(failed?.error?.message).toBe('-2 is negative.')
  outbox.retry(failed?.id)
  await eventually(() => outbox.get()[0]?.status === 'failed')
  outbox.cancel(failed?.id ?? '')
  expect(outbox.get()).toEqual([])
  await eventually(async () => (await storage.load()).length === 0)
})

test.each(['websocket', 'sse'] as const)(
  'an outbox whose link over %s was closed goes on with another one: what waits is sent over that, once, in order',
  async transport => {
    await using app = await start(transport)
    const storage = memoryOutboxStorage()
    const outbox = createOutbox({ storage })
    app.harness.proxy.refuse()
    const first = app.harness.connect({ outbox, retryDelayMs: () => 3_600_000 })
    const lost = [1, 2, 3].map(n => first.client.add.mutate({ n }).catch(codeOf))
    const statuses = new Set<string>()
    outbox.subscribe(() => statuses.add(outbox.get()[0]?.status ?? ''))
    // Over HTTP it has failed by then, and is to be tried again in an hour.
    const tried = transport === 'sse' ? 'queued' : 'sending'
    await eventually(() => statuses.has('sending') && outbox.get()[0]?.status === tried)
    await first.close()
    expect(await Promise.all(lost)).toEqual(['LINK_CLOSED', 'LINK_CLOSED', 'LINK_CLOSED'])
    expect(outbox.get()).toEqual([])

    app.harness.proxy.accept()
    const { client } = app.harness.connect({ outbox })
    expect(await client.add.mutate({ n: 4 })).toBe(8)
    expect(app.done).toEqual([1, 2, 3, 4])
    expect(outbox.get()).toEqual([])
    await eventually(async () => (await storage.load()).length === 0)
  },
)

test('what is on its way into the storage when the link is closed is sent over the next one', async () => {
  await using app = await start()
  const { storage, hold } = createSlowStorage()
  const outbox = createOutbox({ storage })
  const first = app.harness.connect({ outbox })
  const release = hold('put')
  const lost = first.client.add.mutate({ n: 1 }).catch(codeOf)
  await first.close()
  expect(await lost).toBe('LINK_CLOSED')
  const { client } = app.harness.connect({ outbox })
  const next = client.add.mutate({ n: 2 })
  release()
  expect(await next).toBe(4)
  expect(app.done).toEqual([1, 2])
})

test.each([
  { crash: 'before it was stored', stored: 0, done: [] },
  { crash: 'before it was sent', stored: 1, done: [1] },
  { crash: 'before its answer was taken note of', stored: 1, done: [1] },
])('a page that crashes $crash leaves nothing half done', async ({ crash, stored, done }) => {
  await using app = await start()
  const { page, die, storage } = createMortalPage()
  const unsent = crash === 'before it was sent'
  if (crash === 'before it was stored') page.hold('put')
  if (unsent) app.harness.proxy.refuse()
  if (crash.includes('answer')) page.hold('delete')
  const first = app.connect({ storage: page.storage })
  const lost = first.client.add.mutate({ n: 1 })
  if (!unsent) await first.client.hello.query() // it would have been sent by now
  if (crash.includes('answer')) expect(await lost).toBe(2)
  else if (unsent) await eventually(() => first.outbox.get()[0]?.kept === true)
  else expect(first.outbox.get()).toMatchObject([{ kept: false, status: 'queued' }])
  expect(app.done).toEqual(crash.includes('answer') ? [1] : [])
  die()
  lost.catch(() => {}) // who waited for it is gone with the page
  await first.close()
  expect(await storage.load()).toHaveLength(stored)

  app.harness.proxy.accept()
  const { client } = app.connect({ storage })
  expect(await client.add.mutate({ n: 2 })).toBe(4)
  expect(app.done).toEqual([...done, 2])
  await eventually(async () => (await storage.load()).length === 0)
})

test('one that cannot be stored is refused, and does not hold up those behind it', async () => {
  await using app = await start()
  const storage = memoryOutboxStorage()
  const first = { fail: () => {} }
  const failing = new Promise<void>(
    (_, reject) => (first.fail = () => reject(new Error('The disk is full.'))),
  )
  const put: OutboxStorage['put'] = mutation => (mutation.number === 2 ? failing : storage.put(mutation))
  const { client, outbox } = app.connect({ storage: { ...storage, put } })
  await client.add.mutate({ n: 0 })
  const refused = client.add.mutate({ n: 1 })
  const behind = client.add.mutate({ n: 2 })
  await eventually(() => outbox.get()[1]?.kept === true)
  first.fail()
  await expect(refused).rejects.toThrow('The disk is full.')
  expect(await behind).toBe(4)
  expect(app.done).toEqual([0, 2])
})

test('one that is taken back on its way into the storage is not sent by the next page', async () => {
  await using app = await start()
  const { storage, hold } = createSlowStorage()
  const first = app.connect({ storage })
  const release = hold('put')
  const taken = first.client.add.mutate({ n: 1 }).catch(codeOf)
  first.outbox.cancel(first.outbox.get()[0]?.id ?? '')
  expect(await taken).toBe('OUTBOX_CANCELLED')
  await first.client.hello.query() // a delete that did not wait is done by now
  release()
  await first.client.add.mutate({ n: 2 })
  await first.close()
  await app.connect({ storage }).client.add.mutate({ n: 3 })
  expect(app.done).toEqual([2, 3])
})

test('what only the transformer can put into JSON is sent by the next page as well', async () => {
  const done: bigint[] = []
  const t = initTRPC.create({ transformer: superjson })
  const router = t.router({
    add: t.procedure.input(z.bigint()).mutation(({ input }) => void done.push(input)),
  })
  await using harness = await createHarness({ router, transformer: superjson })
  const storage = memoryOutboxStorage()
  harness.proxy.refuse()
  const outbox = createOutbox({ storage })
  const first = harness.connect({ outbox })
  const lost = first.client.add.mutate(1n).catch(codeOf)
  await eventually(() => outbox.get()[0]?.kept === true)
  await first.close()
  expect(await lost).toBe('LINK_CLOSED')
  harness.proxy.accept()
  await harness.connect({ outbox: createOutbox({ storage }) }).client.add.mutate(2n)
  expect(done).toEqual([1n, 2n])
})

test('what an earlier page has left and this one cannot put into words can be seen, and holds up nothing', async () => {
  await using app = await start()
  const storage = memoryOutboxStorage()
  const left = { id: 'left', path: 'add', at: Date.now(), owner: 'an earlier page' }
  await storage.put({ ...left, input: { n: 1n }, number: 1 })
  const { client, outbox } = app.connect({ storage })
  expect(await client.add.mutate({ n: 2 })).toBe(4)
  expect(outbox.get()).toMatchObject([{ id: 'left', status: 'failed' }])
  expect(outbox.get()[0]?.error?.message).toContain('BigInt')
})

test('two pages do not send the same mutation: each sends its own', async () => {
  await using app = await start()
  const storage = memoryOutboxStorage()
  const [one, two] = [app.connect({ storage }), app.connect({ storage })]
  await Promise.all([1, 2].map(n => one.client.add.mutate({ client: 'one', n })))
  await Promise.all([1, 2].map(n => two.client.add.mutate({ client: 'two', n })))
  expect(app.byClient).toEqual(new Map(['one', 'two'].map(name => [name, [1, 2]])))
})

test('one that waits can be taken back; what is bounded says so', async () => {
  await using app = await start()
  app.harness.proxy.refuse()
  const { client, outbox } = app.connect({ maxMutations: 2, maxLength: 100 })
  await expect(client.add.mutate({ client: 'x'.repeat(100), n: 1 }).catch(codeOf)).resolves.toBe(
    'OUTBOX_FULL',
  )
  const [first, second] = [1, 2].map(n => client.add.mutate({ n }).catch(codeOf))
  await expect(client.add.mutate({ n: 3 }).catch(codeOf)).resolves.toBe('OUTBOX_FULL')
  outbox.cancel(outbox.get()[1]?.id ?? '')
  expect(await second).toBe('OUTBOX_CANCELLED')
  app.harness.proxy.accept()
  expect(await first).toBe(2)
  expect(app.done).toEqual([1])
})

describe('one that is taken back by who hears that it is about to be sent', () => {
  test('is not sent, and who waits for it is told so', async () => {
    await using app = await start()
    const { client, outbox } = app.connect()
    const heard: string[] = []
    outbox.subscribe(() => {
      for (const { id, input, status } of outbox.get()) {
        heard.push(status)
        if (status === 'sending' && (input as { n: number }).n === 1) outbox.cancel(id)
      }
    })
    const taken = client.add.mutate({ n: 1 }).catch(codeOf)
    expect(await client.add.mutate({ n: 2 })).toBe(4)
    expect(heard).toContain('sending')
    expect(await taken).toBe('OUTBOX_CANCELLED')
    expect(app.done).toEqual([2])
    expect(outbox.get()).toEqual([])
  })

  test('by its signal, is not sent either', async () => {
    await using app = await start()
    const { client, outbox } = app.connect()
    const wish = new AbortController()
    outbox.subscribe(() => {
      if (outbox.get()[0]?.status === 'sending') wish.abort()
    })
    const aborted = client.add.mutate({ n: 1 }, { signal: wish.signal }).catch(String)
    expect(await client.add.mutate({ n: 2 })).toBe(4)
    expect(await aborted).toContain('aborted')
    expect(app.done).toEqual([2])
  })
})

test('who asks for another try when one is about to be sent does not have two sent at once', async () => {
  await using app = await start()
  const { client, outbox } = app.connect()
  let most = 0
  outbox.subscribe(() => {
    outbox.retry()
    most = Math.max(most, outbox.get().filter(({ status }) => status === 'sending').length)
  })
  expect(await Promise.all([1, 2, 3].map(n => client.add.mutate({ n })))).toEqual([2, 4, 6])
  expect(most).toBe(1)
})

test('one that was sent and not answered, and waits to be sent again, is not said never to have happened', async () => {
  const started: number[] = []
  const router = t.router({
    add: t.procedure.input(z.number()).mutation(({ input }) => {
      started.push(input)
      return new Promise<never>(() => {})
    }),
  })
  await using harness = await createHarness({ router })
  const outbox = createOutbox()
  const { client } = harness.connect({ outbox, retryDelayMs: () => 3_600_000 })
  const taken = client.add.mutate(1).catch(codeOf)
  await eventually(() => started.length === 1)
  await harness.proxy.cut()
  await eventually(() => outbox.get()[0]?.status === 'queued')
  outbox.cancel(outbox.get()[0]?.id ?? '')
  expect(await taken).toBe('OUTCOME_UNKNOWN')
})

test('one that has waited for too long is not sent any more', async () => {
  const clock = createFakeClock()
  await using app = await start()
  app.harness.proxy.refuse()
  const outbox = createOutbox({ expireAfterMs: 60_000 })
  const { client } = app.harness.connect({ outbox, clock, retryDelayMs: () => 10_000 })
  const late = client.add.mutate({ n: 1 }).catch(codeOf)
  const behind = client.add.mutate({ n: 2 }).catch(codeOf)
  await eventually(() => outbox.get().length === 2)
  await clock.advance(60_000)
  // The first is with the connection, which has its own patience: the one behind it is looked at when that is over.
  outbox.cancel(outbox.get()[0]?.id ?? '')
  expect(await behind).toBe('OUTBOX_EXPIRED')
  expect(await late).toBe('OUTCOME_UNKNOWN')
  expect(app.done).toEqual([])
})

test('queries and what is not accepted go past it, and an outbox has one link', async () => {
  await using app = await start()
  const { client, outbox } = app.connect({ accepts: ({ path }) => path !== 'add' })
  expect(await client.hello.query()).toBe('hello')
  expect(await client.add.mutate({ n: 1 })).toBe(2)
  expect(() => sluiceLink({ url: 'http://localhost', outbox, WebSocket })).toThrow('has a link already')
})
