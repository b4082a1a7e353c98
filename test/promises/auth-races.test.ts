/** Rights while a connection is being set up, renewed or ended: the moments between which a check could fall through. */
import { initTRPC, TRPCError } from '@trpc/server'
import { expect, test } from 'vitest'
import { serve, type AuthOptions, type ErrorReport } from 'trpc-sluice/server'
import { createFakeClock } from 'trpc-sluice/testing'
import { RawWebSocket } from '../interop/support/raw-websocket.ts'
import { eventually } from '../kit/deadline.ts'

interface User {
  readonly name: string
  readonly expiresAt: number
}

const t = initTRPC.context<User>().create()

/** A door that its test opens. */
function createGate() {
  let open = () => {}
  const opened = new Promise<void>(resolve => (open = resolve))
  return { opened, open: () => open() }
}

const lifeMs = 60_000

/** Who calls itself `late`, or `late stranger`, waits for its context until the gate is opened; a client may say when it runs out. */
async function start(auth: AuthOptions<User> = {}) {
  const clock = createFakeClock()
  const gates = { context: createGate(), renewed: createGate(), end: createGate() }
  const reports: ErrorReport[] = []
  const router = t.router({
    whoAmI: t.procedure.query(({ ctx }) => ctx.name),
    onTicks: t.procedure.subscription(async function* () {
      yield 'tick'
      await gates.end.opened
    }),
  })
  const served = await serve({
    router,
    port: 0,
    host: '127.0.0.1',
    clock,
    keepAlive: { enabled: false },
    auth: { expiresAt: ({ expiresAt }) => expiresAt, ...auth },
    onError: report => reports.push(report),
    async createContext({ info }) {
      const { name = '', until = '' } = info.connectionParams ?? {}
      if (name.startsWith('late')) await gates.context.opened
      if (name === 'late stranger') throw new TRPCError({ code: 'UNAUTHORIZED' })
      if (name === 'ann') setImmediate(gates.renewed.open) // when it counts
      return { name, expiresAt: Number(until) }
    },
  })
  const open = async (name: string, until = lifeMs) => {
    const socket = await RawWebSocket.open(`${served.url}/?connectionParams=1&sluice=1`)
    const say = (until: number, as = name) =>
      socket.send({ method: 'connectionParams', data: { name: as, until: String(until) } })
    say(until)
    return { socket, say }
  }
  const close = () => {
    gates.end.open()
    return served.close()
  }
  return { clock, gates, reports, served, open, [Symbol.asyncDispose]: close }
}

test('a renewal by what has run out already does not keep the connection beyond its time', async () => {
  await using app = await start()
  const { socket, say } = await app.open('ann')
  socket.subscribe(1, 'onTicks')
  await socket.until('tick')
  await app.clock.advance(1_000)
  say(1)
  await socket.until('CONTEXT_EXPIRED')
  await app.clock.advance(lifeMs - 1_000)
  expect(await socket.closed).toEqual({ code: 4401, reason: 'CONTEXT_EXPIRED' })
})

test('a first word that comes to nothing after a later one was heeded does not count any more', async () => {
  await using app = await start()
  const { socket, say } = await app.open('late stranger')
  say(lifeMs, 'ann')
  await app.gates.renewed.opened
  socket.send({ id: 1, method: 'query', params: { path: 'whoAmI' } })
  await app.clock.advance(1_000)
  app.gates.context.open()
  await socket.until('"data":"ann"')
  socket.send({ id: 2, method: 'query', params: { path: 'whoAmI' } })
  await socket.until('{"id":2,"result":{"type":"data","data":"ann"}}')
  expect(app.reports.map(({ error }) => error.code)).toEqual(['UNAUTHORIZED'])
})

test.each([
  ['a renewal', 'bob'],
  ['the first word', 'late'],
])('what a client has said last counts, though %s before it is made sense of later', async (_, first) => {
  await using app = await start()
  const { socket, say } = await app.open(first)
  if (first !== 'late') say(lifeMs, 'late')
  say(2 * lifeMs, 'ann')
  await app.gates.renewed.opened
  app.gates.context.open()
  socket.send({ id: 1, method: 'query', params: { path: 'whoAmI' } })
  await socket.until('{"id":1,"result":{"type":"data","data":"ann"}}')
  await app.clock.advance(lifeMs)
  socket.send({ id: 2, method: 'query', params: { path: 'whoAmI' } })
  await socket.until('{"id":2,"result":{"type":"data","data":"ann"}}')
})

test('a context that is made after its connection has gone is not waited for to run out', async () => {
  await using app = await start()
  const { socket } = await app.open('late', 10 * lifeMs)
  await socket.settled()
  await socket.close()
  await eventually(() => app.served.sluice.stats().connections.websocket === 0)
  const before = app.clock.pending
  app.gates.context.open()
  await app.clock.advance(0)
  expect(app.clock.pending).toBe(before)
})

test('nobody is asked about a subscription before it is known whose it is, nor is a review upset by it', async () => {
  const asked: string[] = []
  await using app = await start({
    authorize({ ctx }) {
      asked.push(ctx.name)
      return ctx.name !== 'eve'
    },
    authorizeEveryMs: 1_000,
  })
  const late = await app.open('late')
  late.socket.subscribe(1, 'onTicks')
  const eve = await app.open('bob')
  eve.socket.subscribe(1, 'onTicks')
  await eve.socket.until('tick')
  await eventually(() => app.served.sluice.stats().subscriptions === 2)

  await app.served.sluice.reauthorize(({ ctx }) => ctx.name === 'bob')
  await app.clock.advance(1_000)
  expect(asked).toEqual(['bob', 'bob', 'bob'])
  app.gates.context.open()
  await late.socket.until('tick')
  expect(asked).toEqual(['bob', 'bob', 'bob', 'late'])
  expect(app.reports).toEqual([])
})

test('an authorize() that never answers about one does not keep others from being asked about, and is told of', async () => {
  const asked: string[] = []
  await using app = await start({
    async authorize({ ctx: { name } }) {
      asked.push(name)
      const again = asked.filter(other => other === name).length > 1
      if (again && name === 'stuck') await new Promise(() => {})
      return asked.filter(other => other === name).length < 3
    },
    authorizeEveryMs: 1_000,
  })
  const stuck = await app.open('stuck', 10 * lifeMs)
  stuck.socket.subscribe(1, 'onTicks')
  await stuck.socket.until('tick')
  const bob = await app.open('bob', 10 * lifeMs)
  bob.socket.subscribe(1, 'onTicks')
  await bob.socket.until('tick')
  await app.clock.advance(1_000)
  expect(asked).toEqual(['stuck', 'bob', 'stuck', 'bob'])
  await app.clock.advance(31_000)
  await bob.socket.until('ACCESS_REVOKED')
  expect(app.reports[0]).toMatchObject({ path: 'onTicks', ctx: { name: 'stuck' } })
  expect(app.reports[0]?.error.message).toContain('has not answered within 30000 ms')
})

test('a subscription that ends while it is asked about has one ending', async () => {
  const verdict = createGate()
  let asked = 0
  await using app = await start({
    async authorize() {
      asked += 1
      if (asked === 1) return true
      await verdict.opened
      return false
    },
    authorizeEveryMs: Infinity,
  })
  const { socket } = await app.open('ann')
  socket.subscribe(1, 'onTicks')
  await socket.until('tick')
  const reviewed = app.served.sluice.reauthorize()
  await eventually(() => asked === 2)
  app.gates.end.open()
  await socket.until('stopped')
  verdict.open()
  await reviewed
  await socket.settled()
  expect(socket.frames.filter(frame => frame.includes('error'))).toEqual([])
  expect(app.reports).toEqual([])
})
