/** Promise 3: a peer that is gone without a word, or takes nothing any more, is held for a bounded time over HTTP, too. */
import { createServer, type Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { initTRPC } from '@trpc/server'
import { createSluice } from 'trpc-sluice/server'
import { createFakeClock, createFaultProxy, eventually } from 'trpc-sluice/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { streamPath } from '../../shared/protocol/stream.ts'
import { Scope } from '../../shared/scope.ts'
import { RawResponse } from '../interop/support/raw-http.ts'
import { listen } from '../support/listen.ts'

const carriers = ['SSE', 'the stream', 'SSE by sluice.fetch', 'the stream by sluice.fetch'] as const

const ageMs = 60_000
const idleMs = 40_000

/** @param greeted settles when contexts may be made. */
async function start(
  carrier: (typeof carriers)[number],
  limits: { maxConnectionAgeMs?: number } = {},
  greeted?: Promise<void>,
) {
  const t = initTRPC.create()
  let running = 0
  const chunk = 'x'.repeat(16 * 1024)
  const router = t.router({
    quiet: t.procedure.input(z.unknown()).subscription(async function* ({ signal }) {
      running += 1
      try {
        yield 'begun'
        await new Promise(resolve => signal?.addEventListener('abort', resolve))
      } finally {
        running -= 1
      }
    }),
    /** As much as is taken. */
    flood: t.procedure.input(z.unknown()).subscription(async function* () {
      running += 1
      try {
        for (;;) yield chunk
      } finally {
        running -= 1
      }
    }),
  })
  const scope = new Scope()
  const clock = createFakeClock()
  const sluice = createSluice({
    router,
    clock,
    limits: { idleMs, ...limits },
    async createContext() {
      await greeted
      return {}
    },
  })
  const byFetch = carrier.includes('fetch')
  const server: Server = createServer(byFetch ? getRequestListener(sluice.fetch) : sluice.node)
  const { port } = scope.use(await listen(server))
  scope.defer(() => sluice.close())
  const proxy = scope.use(await createFaultProxy({ target: { port } }))

  const open = (path: 'quiet' | 'flood') => {
    if (!carrier.includes('stream')) return RawResponse.open(proxy.url(`/${path}?input=1`))
    const subscriptions = [{ id: 1, method: 'subscription', params: { path, input: 1 } }]
    return RawResponse.open(proxy.url(`/${streamPath}?sluice=1`), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ subscriptions }),
    })
  }
  const sockets = () =>
    new Promise<number>((resolve, reject) =>
      server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    )
  return {
    clock,
    proxy,
    stats: () => sluice.stats(),
    running: () => running,
    sockets,
    open: async (path: 'quiet' | 'flood') => scope.use(await open(path)),
    /** Nothing goes out any more through many turns: all buffers on the way are full. */
    async full() {
      await eventually(async () => {
        const before = sluice.stats().eventsOut
        for (let turn = 0; turn < 50; turn++) await new Promise(resolve => setTimeout(resolve, 2))
        return sluice.stats().stalls > 0 && sluice.stats().eventsOut === before
      })
    },
    [Symbol.asyncDispose]: () => scope.close(),
  }
}

type App = Awaited<ReturnType<typeof start>>

/** Nothing of it is left on the server. */
async function expectNothingHeld(app: App): Promise<void> {
  await eventually(() => app.running() === 0)
  const { sse, stream } = app.stats().connections
  expect(sse + stream).toBe(0)
  expect(app.stats().subscriptions).toBe(0)
}

describe.each(carriers)('over %s', carrier => {
  test('who is gone without a word is held until the connection is too old, and its generator has ended then', async () => {
    await using app = await start(carrier, { maxConnectionAgeMs: ageMs })
    const response = await app.open('quiet')
    await response.until('begun')
    app.proxy.stall()
    await app.clock.advance(ageMs * 0.79)
    expect(app.running()).toBe(1)
    await app.clock.advance(ageMs * 0.21)
    await expectNothingHeld(app)
  })

  test('who takes nothing of what waits is cut off, and counted', async () => {
    await using app = await start(carrier)
    await app.open('flood')
    app.proxy.stall()
    await app.full()
    await app.clock.advance(idleMs)
    expect(app.running()).toBe(1)
    await app.clock.advance(idleMs / 2)
    await expectNothingHeld(app)
    await eventually(async () => (await app.sockets()) === 0)
    expect(app.stats().refusals).toEqual({ STALLED: 1 })
  })

  test('so is one whose response had not begun when the others were looked at', async () => {
    let greet = () => {}
    await using app = await start(carrier, {}, new Promise(resolve => (greet = resolve)))
    const opening = app.open('flood')
    await eventually(() => app.stats().connections.sse + app.stats().connections.stream === 1)
    await app.clock.advance(idleMs)
    greet()
    await opening
    app.proxy.stall()
    await app.full()
    await app.clock.advance(idleMs * 1.5)
    await expectNothingHeld(app)
    expect(app.stats().refusals).toEqual({ STALLED: 1 })
  })

  test('who takes nothing of the end of a response that is too old is cut off, too', async () => {
    await using app = await start(carrier, { maxConnectionAgeMs: idleMs / 4 })
    await app.open('flood')
    app.proxy.stall()
    await app.full()
    await app.clock.advance(idleMs / 4)
    await expectNothingHeld(app)
    if (carrier.includes('fetch')) return // whatever the host has taken is the host's own
    expect(await app.sockets()).toBe(1)
    await app.clock.advance(idleMs * 1.5)
    await eventually(async () => (await app.sockets()) === 0)
  })

  test('who leaves with much waiting for it is not counted', async () => {
    await using app = await start(carrier)
    const response = await app.open('flood')
    app.proxy.stall()
    await app.full()
    app.proxy.resume()
    response.cut()
    await expectNothingHeld(app)
    await app.clock.advance(idleMs * 2)
    expect(app.stats().refusals).toEqual({})
  })

  test('who takes a little now and then is not, and neither is one for whom nothing waits', async () => {
    await using app = await start(carrier)
    const [quiet] = await Promise.all([app.open('quiet'), app.open('flood')])
    await quiet.until('begun')
    for (let times = 0; times < 3; times++) {
      app.proxy.stall()
      await app.full()
      await app.clock.advance(idleMs * 0.8)
      const { eventsOut } = app.stats()
      app.proxy.resume()
      await eventually(() => app.stats().eventsOut > eventsOut)
    }
    expect(app.running()).toBe(2)
    expect(app.stats().refusals).toEqual({})
  })
})
