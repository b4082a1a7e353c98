/** The retry contract: what must not run twice does not, whatever becomes of the connection. */
import { initTRPC } from '@trpc/server'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { once } from 'trpc-sluice/server'
import { createHarness, eventually } from 'trpc-sluice/testing'
import { z } from 'zod'

const t = initTRPC.create({ isDev: true })

function createRouter() {
  const runs: string[] = []
  const wait = (signal: AbortSignal | undefined) =>
    new Promise<void>(resolve => signal?.addEventListener('abort', () => resolve(), { once: true }))
  const router = t.router({
    checkout: t.procedure.input(once({ cart: z.string() })).subscription(async function* ({ input, signal }) {
      runs.push(input.cart)
      yield runs.length
      await wait(signal)
    }),
    plain: t.procedure.input(z.object({ cart: z.string() }).strict()).subscription(async function* ({
      input,
      signal,
    }) {
      runs.push(input.cart)
      yield runs.length
      await wait(signal)
    }),
  })
  return { router, runs }
}

afterEach(() => void vi.restoreAllMocks())

describe.each(['websocket', 'stream', 'sse'] as const)('over %s', transport => {
  test('a subscription that must not run twice ends with LOST when its connection is lost', async () => {
    const { router, runs } = createRouter()
    await using app = await createHarness({ router, transport })
    const seen = app.record(client => client.checkout, { cart: 'a' })
    await seen.until(1)
    await app.proxy.cut()
    await eventually(() => seen.error !== null)
    expect((seen.error as { data?: unknown } | null)?.data).toMatchObject({ sluice: { code: 'LOST' } })
    expect(runs).toEqual(['a'])
    // Somebody who asks anew, knowing, may.
    await app.record(client => client.checkout, { cart: 'b' }).until(1)
    expect(runs).toEqual(['a', 'b'])
  })

  test('one that says nothing runs again, as in tRPC, and the developer is warned once', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const { router, runs } = createRouter()
    await using app = await createHarness({ router, transport })
    const seen = app.record(client => client.plain, { cart: 'a' })
    for (let cuts = 1; cuts <= 2; cuts++) {
      await seen.until(cuts)
      await app.proxy.cut()
    }
    await seen.until(3)
    expect(runs).toEqual(['a', 'a', 'a'])
    expect(warn.mock.calls).toEqual([[expect.stringContaining('"plain" runs again')]])
  })
})

test('a first connect that fails is retried, and the subscription begins: nothing has run yet', async () => {
  const { router, runs } = createRouter()
  await using app = await createHarness({ router, transport: 'websocket' })
  app.proxy.refuse()
  const seen = app.record(client => client.checkout, { cart: 'a' })
  await eventually(() => app.link.connection.get().at === 'waiting')
  app.proxy.accept()
  await seen.until(1)
  expect(runs).toEqual(['a'])
})
