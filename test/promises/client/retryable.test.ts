/** What a server says about coming back is heeded, for one subscription as for the whole connection. */
import { initTRPC, tracked } from '@trpc/server'
import { createHarness, eventually } from 'trpc-sluice/testing'
import { SluiceError } from 'trpc-sluice/shared'
import { expect, test } from 'vitest'
import { z } from 'zod'

const t = initTRPC.create({ sse: { emitAndEndImmediately: true } })

function createApp() {
  const after: (string | undefined)[] = []
  const router = t.router({
    onNumber: t.procedure
      .input(
        z.object({
          fail: z.enum(['STORE_UNAVAILABLE', 'DRAINING', 'GAP']).optional(),
          lastEventId: z.string().optional(),
        }),
      )
      .subscription(async function* ({ input, signal }) {
        after.push(input.lastEventId)
        const first = Number(input.lastEventId ?? 0) + 1
        if (input.fail && after.length % 2 === 0) throw new SluiceError(input.fail, 'A test wants it so.')
        for (let n = first; n <= 3 && !signal?.aborted; n++) {
          yield tracked(String(n), n)
          if (input.fail) throw new SluiceError(input.fail, 'A test wants it so.')
          await new Promise(resolve => setTimeout(resolve, 20)) // the next is not at hand at once
        }
      }),
  })
  return { router, after }
}

const carriers = ['websocket', 'stream', 'sse'] as const
const passing = ['STORE_UNAVAILABLE', 'DRAINING'] as const

test.each(carriers.flatMap(transport => passing.map(fail => [transport, fail] as const)))(
  'over %s, %s is no end: the subscription is asked for again, from its cursor',
  async (transport, fail) => {
    const { router, after } = createApp()
    await using app = await createHarness({ router, transport })
    const seen = app.record(client => client.onNumber, { fail })
    await seen.until(3)
    expect(seen.report(3)).toEqual({ delivered: 3, missing: [], repeated: [], outOfOrder: [] })
    expect(after.slice(0, 5)).toEqual([undefined, '1', '1', '2', '2'])
    if (transport !== 'websocket') return
    // For the one the same socket does; the other means another server.
    if (fail === 'DRAINING') await eventually(() => app.proxy.accepted > 1)
    else expect(app.proxy.accepted).toBe(1)
  },
)

test.each(carriers)('over %s, a query is told how to come back, if at all', async transport => {
  const router = t.router({
    fail: t.procedure.input(z.enum(['DRAINING', 'GAP'])).query(({ input }) => {
      throw new SluiceError(input, 'A test wants it so.')
    }),
  })
  await using app = await createHarness({ router, transport })
  const told = async (fail: 'DRAINING' | 'GAP') => {
    const error: unknown = await app.client.fail.query(fail).catch((thrown: unknown) => thrown)
    return (error as { data: { sluice: unknown } }).data.sluice
  }
  expect(await told('DRAINING')).toEqual({ code: 'DRAINING', retry: 'elsewhere', data: {} })
  expect(await told('GAP')).toEqual({ code: 'GAP', data: {} })
})

test.each(carriers)('over %s, a code of a newer server is heeded without being known', async transport => {
  const newer = initTRPC.create({
    errorFormatter: ({ shape }) => ({
      ...shape,
      data: { ...shape.data, sluice: { code: 'OF_TOMORROW', retry: 'resume', data: {} } },
    }),
  })
  let calls = 0
  const router = newer.router({
    onNumber: newer.procedure.subscription(async function* () {
      calls += 1
      if (calls === 1) throw new Error('It passes.')
      yield tracked('1', 1)
    }),
  })
  await using app = await createHarness({ router, transport })
  await app.record(client => client.onNumber).until(1)
  expect(calls).toBeGreaterThan(1)
})

test.each(carriers)('over %s, an error that cannot pass is final', async transport => {
  const { router, after } = createApp()
  await using app = await createHarness({ router, transport })
  const seen = app.record(client => client.onNumber, { fail: 'GAP' })
  await expect(seen.until(3)).rejects.toThrow()
  expect(after).toHaveLength(1)
})

test('a server that ends each response at its first event is asked again without growing delays', async () => {
  const { router, after } = createApp()
  const attempts: number[] = []
  await using app = await createHarness({
    router,
    transport: 'sse',
    link: {
      retryDelayMs: attempt => {
        attempts.push(attempt)
        return 1
      },
    },
  })
  const seen = app.record(client => client.onNumber, {})
  await seen.until(3)
  expect(seen.report(3)).toEqual({ delivered: 3, missing: [], repeated: [], outOfOrder: [] })
  expect(after.slice(0, 3)).toEqual([undefined, '1', '2'])
  expect(new Set(attempts)).toEqual(new Set([0]))
})
