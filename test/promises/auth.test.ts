/** Rights change while a stream lasts: contexts run out and are renewed, and permissions are taken back. */
import { initTRPC, TRPCError } from '@trpc/server'
import { describe, expect, test } from 'vitest'
import { createTopic, resumable, type AuthOptions, type ErrorReport } from 'trpc-sluice/server'
import { isSluiceError } from 'trpc-sluice/shared'
import { createFakeClock, createHarness, eventually, type Harness } from 'trpc-sluice/testing'
import { z } from 'zod'

interface User {
  readonly name: string
  readonly token: number
  readonly expiresAt: number
}

const t = initTRPC.context<User>().create()

function createApp() {
  const room = createTopic({ name: 'room', event: z.object({ n: z.number() }) })
  const router = t.router({
    onRoom: t.procedure
      .input(resumable({ room: z.string() }))
      .subscription(({ input, signal }) => room.subscribe(input.room, { after: input.lastEventId, signal })),
    whoAmI: t.procedure.query(({ ctx }) => ctx.token),
  })
  return { room, router }
}

const lifeMs = 60_000

/** The server's time stands still until a test moves it; the n-th token is good for n minutes. */
async function startApp(transport: 'websocket' | 'stream' | 'sse', auth: AuthOptions<User> = {}) {
  const { room, router } = createApp()
  const clock = createFakeClock()
  const born = clock.now()
  const reports: ErrorReport[] = []
  const tokens = { said: 0, last: Infinity }
  const app = await createHarness({
    router,
    transport,
    createContext({ info }) {
      const token = Number(info.connectionParams?.['token'])
      return { name: 'ann', token, expiresAt: born + token * lifeMs }
    },
    sluice: {
      clock,
      keepAlive: { enabled: false },
      auth: { expiresAt: ({ expiresAt }) => expiresAt, ...auth },
      onError: report => reports.push(report),
    },
    link: {
      connectionParams: () => ({ token: String(Math.min(++tokens.said, tokens.last)) }),
      onError: () => {}, // a renewal that failed
    },
  })
  return { app, clock, room, tokens, reports }
}

const onRoom = (client: Harness<ReturnType<typeof createApp>['router']>['client']) => client.onRoom

const numbered = { numberOf: ({ data }: { data: { n: number } }) => data.n }

describe.each(['websocket', 'stream', 'sse'] as const)('over %s', transport => {
  test('a client renews what it is known by, again and again, and its stream misses nothing', async () => {
    const { app, clock, room, tokens } = await startApp(transport)
    await using _ = app
    const seen = app.record(onRoom, { room: 'general' }, numbered)
    await seen.started
    const connections = app.proxy.accepted
    for (let n = 1; n <= 5; n++) {
      await room.publish('general', { n })
      await seen.until(n)
      // Over WebSocket before the end of the token, over HTTP by it.
      await clock.advance(lifeMs - 1)
      if (transport === 'websocket') await eventually(async () => (await app.client.whoAmI.query()) > n)
      await clock.advance(1)
      await eventually(() => tokens.said > n)
    }
    expect(seen.report(5)).toEqual({ delivered: 5, missing: [], repeated: [], outOfOrder: [] })
    if (transport === 'websocket') expect(app.proxy.accepted).toBe(connections)
  })

  test('a client that does not renew is cut off with a typed error, and does not come back', async () => {
    const { app, clock, room, tokens } = await startApp(transport)
    await using _ = app
    const seen = app.record(onRoom, { room: 'general' }, numbered)
    await seen.started
    tokens.last = 1
    await clock.advance(lifeMs)
    await eventually(() => seen.error !== null)
    expect(codeOf(seen.error)).toBe('CONTEXT_EXPIRED')
    const { said } = tokens
    await room.publish('general', { n: 1 })
    await eventually(() => app.sluice.stats().subscriptions === 0)
    expect(tokens.said).toBe(said)
  })

  test('a user who is removed from a room stops receiving on demand; the others go on', async () => {
    const removed = new Set<string>()
    const { app, room } = await startApp(transport, {
      authorize: ({ input }) => !removed.has((input as { room: string }).room),
      authorizeEveryMs: Infinity,
    })
    await using _ = app
    const gone = app.record(onRoom, { room: 'private' }, numbered)
    const stays = app.record(onRoom, { room: 'general' }, numbered)
    await Promise.all([gone.started, stays.started])
    await room.publish('private', { n: 1 })
    await gone.until(1)

    removed.add('private')
    await app.sluice.reauthorize(({ path }) => path === 'onRoom')
    await eventually(() => gone.error !== null)
    expect(codeOf(gone.error)).toBe('ACCESS_REVOKED')
    await room.publish('private', { n: 2 })
    await room.publish('general', { n: 1 })
    await stays.until(1)
    expect(gone.report().delivered).toBe(1)
    expect(stays.error).toBe(null)

    const again = app.record(onRoom, { room: 'private' }, numbered)
    await eventually(() => again.error !== null)
    expect(codeOf(again.error)).toBe('ACCESS_REVOKED')
  })

  test.each([undefined, null, 0, 1, 'yes', {}])(
    'an authorize() that says %j lets nobody in, nor stay',
    async verdict => {
      let said: unknown = true
      const { app } = await startApp(transport, {
        authorize: () => said as boolean, // what an application may say that does not look at types
        authorizeEveryMs: Infinity,
      })
      await using _ = app
      const stays = app.record(onRoom, { room: 'general' }, numbered)
      await stays.started
      said = verdict
      await app.sluice.reauthorize()
      const comes = app.record(onRoom, { room: 'general' }, numbered)
      for (const seen of [stays, comes]) {
        await eventually(() => seen.error !== null)
        expect(codeOf(seen.error)).toBe('ACCESS_REVOKED')
      }
    },
  )

  test('permissions are looked at at intervals; a check that fails ends nobody, and is reported', async () => {
    let verdict: 'yes' | 'down' | 'no' = 'yes'
    let asked = 0
    const { app, clock, reports } = await startApp(transport, {
      authorize() {
        asked += 1
        if (verdict === 'down') throw new Error('the database is away')
        if (verdict === 'no') throw new TRPCError({ code: 'FORBIDDEN', message: 'not you' })
        return true
      },
      authorizeEveryMs: 1_000,
    })
    await using _ = app
    const seen = app.record(onRoom, { room: 'general' }, numbered)
    await seen.started
    expect(asked).toBe(1)
    await clock.advance(1_000)
    await eventually(() => asked === 2)
    verdict = 'down'
    await clock.advance(1_000)
    await eventually(() => reports.length === 1)
    expect(seen.error).toBe(null)
    expect(reports[0]).toMatchObject({ path: 'onRoom', error: { message: 'the database is away' } })
    verdict = 'no'
    await clock.advance(1_000)
    await eventually(() => seen.error !== null)
    expect(seen.error?.message).toBe('not you')
  })
})

function codeOf(error: Error | null): unknown {
  if (isSluiceError(error?.cause)) return error.cause.code
  return (error as { data?: { sluice?: { code?: unknown } } } | null)?.data?.sluice?.code
}
