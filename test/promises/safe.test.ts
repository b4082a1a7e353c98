/**
 * Promise 7: whatever a stranger sends costs the stranger. Each bad input gets the error that tRPC would give, or
 * ours; the process stays up, and a neighbour on the same server notices nothing.
 */
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { initTRPC, tracked } from '@trpc/server'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { createSluice, serve, type ErrorReport, type SluiceOptions } from 'trpc-sluice/server'
import { SluiceError } from 'trpc-sluice/shared'
import { eventually } from '../kit/deadline.ts'
import { createFakeClock } from '../kit/fake-clock.ts'
import { listen } from '../interop/support/peers.ts'
import { RawResponse } from '../interop/support/raw-http.ts'
import { upgradeHead } from '../interop/support/raw-tcp.ts'
import { RawWebSocket } from '../interop/support/raw-websocket.ts'

const t = initTRPC.create({ isDev: false })

const router = t.router({
  numbers: t.procedure.subscription(async function* ({ signal }) {
    for (let i = 1; !signal?.aborted; i++) {
      yield i
      await new Promise(resolve => setImmediate(resolve))
    }
  }),
  quiet: t.procedure.subscription(async function* ({ signal }) {
    await new Promise<void>(resolve => signal?.addEventListener('abort', () => resolve(), { once: true }))
    yield* []
  }),
  strict: t.procedure.input(z.object({ n: z.number() })).query(({ input }) => input.n),
  echo: t.procedure
    .input(z.unknown())
    .query(({ input }) => ({ input, polluted: ({} as { polluted?: true }).polluted })),
  forged: t.procedure.input(z.object({ id: z.string() })).subscription(async function* ({ input }) {
    yield 'before'
    yield tracked(input.id, 'data')
    yield 'after'
  }),
  gap: t.procedure.query(() => {
    throw new SluiceError('GAP', 'Events are gone.', { data: { first: 7 } })
  }),
  gapStream: t.procedure.subscription(async function* () {
    yield 1
    throw new SluiceError('GAP', 'Events are gone.', { data: { first: 7 } })
  }),
})

type Options = Partial<SluiceOptions<typeof router>>

async function start(options: Options = {}) {
  const reports: ErrorReport[] = []
  const served = await serve({
    router,
    port: 0,
    host: '127.0.0.1',
    onError: report => reports.push(report),
    ...options,
  })
  return { ...served, reports, [Symbol.asyncDispose]: () => served.close() }
}

/** Somebody who behaves, and checks that all that is due to them comes. */
async function createNeighbour(url: string) {
  const socket = await RawWebSocket.open(url)
  socket.subscribe('neighbour', 'numbers')
  await socket.count(10)
  return {
    async noticesNothing() {
      await socket.count(socket.frames.length + 10)
      const [started, ...events] = socket.frames.map(
        frame => JSON.parse(frame) as { result: { data: number } },
      )
      expect(started).toEqual({ id: 'neighbour', result: { type: 'started' } })
      expect(events.map(({ result }) => result.data)).toEqual(events.map((_, index) => index + 1))
    },
  }
}

describe('a frame', () => {
  test('of 100 MB closes its connection with 1009, and no other', async () => {
    await using app = await start()
    const neighbour = await createNeighbour(app.url)
    const socket = await RawWebSocket.open(app.url)
    socket.send(Buffer.alloc(100 * 1024 * 1024, 'x'))
    expect((await socket.closed).code).toBe(1009)
    await neighbour.noticesNothing()
  })

  test('of just over 1 MiB is too large, of just under it is not', async () => {
    await using app = await start()
    const socket = await RawWebSocket.open(app.url)
    const message = (bytes: number) => {
      const text = JSON.stringify({ id: 1, method: 'query', params: { path: 'echo', input: '' } })
      return text.replace('""', JSON.stringify('x'.repeat(bytes - text.length)))
    }
    socket.send(message(1024 * 1024))
    await socket.count(1)
    socket.send(message(1024 * 1024 + 1))
    expect((await socket.closed).code).toBe(1009)
  })

  test.each([
    ['reserved bits', [0xf1, 0x80, 0, 0, 0, 0], 1002],
    ['an unknown opcode', [0x83, 0x80, 0, 0, 0, 0], 1002],
    ['no mask', [0x81, 0x01, 0x41], 1002],
    ['text that is not UTF-8', [0x81, 0x82, 0, 0, 0, 0, 0xff, 0xff], 1007],
  ])('with %s closes its connection, and no other', async (_, bytes, code) => {
    await using app = await start()
    const neighbour = await createNeighbour(app.url)
    const socket = await openTcp(app.port)
    let received = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => (received = Buffer.concat([received, chunk])))
    socket.write(Buffer.from(bytes))
    // A close frame: 0x88, its length, and the code.
    await eventually(() => received.includes(Buffer.from([0x88, 0x02, code >> 8, code & 0xff])))
    socket.destroy()
    expect(app.reports.length).toBeGreaterThan(0)
    await neighbour.noticesNothing()
  })

  test('with __proto__ in it pollutes nothing', async () => {
    await using app = await start()
    const socket = await RawWebSocket.open(app.url)
    socket.send(
      '{"id":1,"method":"query","params":{"path":"echo","lastEventId":"x","input":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}}}',
    )
    const [frame = ''] = await socket.count(1)
    expect(JSON.parse(frame)).toMatchObject({ result: { data: { input: { lastEventId: 'x' } } } })
    expect(frame).not.toContain('"polluted":true}}}}}}')
    expect(({} as { polluted?: true }).polluted).toBeUndefined()
  })

  test('after frame of nonsense leaves the connection in use', async () => {
    await using app = await start()
    const neighbour = await createNeighbour(app.url)
    const socket = await RawWebSocket.open(app.url)
    for (let i = 0; i < 1_000; i++) socket.send(['{', 'null', '[]', '{"id":{}}', '[[[[', '""'][i % 6] ?? '')
    socket.send({ id: 1, method: 'query', params: { path: 'strict', input: { n: 7 } } })
    await socket.until('"data":7')
    await neighbour.noticesNothing()
  })
})

describe('an upgrade', () => {
  const foreign = { origin: 'https://evil.example' }

  test('from no page, or from a page of the same host, is accepted', async () => {
    await using app = await start()
    await RawWebSocket.open(app.url)
    await RawWebSocket.open(app.url, { origin: `http://127.0.0.1:${app.port}` })
    await RawWebSocket.open(app.url, { origin: `https://127.0.0.1:${app.port}` })
  })

  test.each(['https://evil.example', 'null', 'http://127.0.0.1', 'http://127.0.0.1:1', 'no url'])(
    'from a page of %s is refused',
    async origin => {
      await using app = await start()
      await expect(RawWebSocket.open(app.url, { origin })).rejects.toThrow('refused with 403')
      expect(app.sluice.stats()).toMatchObject({ refused: 1, connections: { websocket: 0 } })
    },
  )

  test('from a foreign page is accepted if the app allows it', async () => {
    for (const allowedOrigins of [
      '*' as const,
      ['https://other.example', 'https://evil.example'],
      (origin: string) => origin.endsWith('.example'),
    ]) {
      await using app = await start({ allowedOrigins })
      await RawWebSocket.open(app.url, foreign)
    }
  })

  test('is refused where the app allows others only, or its check throws', async () => {
    for (const allowedOrigins of [
      [],
      ['https://other.example'],
      () => {
        throw new Error('cannot say')
      },
    ]) {
      await using app = await start({ allowedOrigins })
      await expect(RawWebSocket.open(app.url, foreign)).rejects.toThrow('refused with 403')
    }
  })

  test('beside the base path is refused, or left to another listener', async () => {
    await using app = await start({ basePath: '/trpc' })
    await expect(RawWebSocket.open(`${app.url}-other`)).rejects.toThrow('refused with 404')
    await RawWebSocket.open(`${app.url}?x=1`)
    await RawWebSocket.open(`${app.url}/`)

    const sluice = createSluice({ router, basePath: '/trpc' })
    const server = createServer()
    server.on('upgrade', sluice.upgrade)
    server.on('upgrade', (request, socket) => {
      if (request.url === '/hmr') socket.end('HTTP/1.1 418 Mine\r\n\r\n')
    })
    const url = await listen(server)
    await expect(RawWebSocket.open(`${url}/hmr`)).rejects.toThrow('refused with 418')
    server.close()
  })

  test('to a URL that is none is no reason to end the process', async () => {
    await using app = await start()
    for (const path of ['//', '/\\', '/%', '/?%', '//?connectionParams=1']) {
      const socket = await openTcp(app.port, path)
      socket.destroy()
      const raw = connect(app.port, '127.0.0.1')
      raw.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
      const answer = await new Promise<Buffer>(resolve => raw.once('data', resolve))
      expect(answer.toString()).toMatch(/^HTTP\/1.1 [45]/)
      raw.destroy()
    }
  })

  test('that never says hello is closed', async () => {
    const clock = createFakeClock()
    await using app = await start({ clock, limits: { helloMs: 1_000 } })
    const socket = await RawWebSocket.open(`${app.url}?connectionParams=1`)
    await socket.settled()
    await clock.advance(1_000)
    expect(await socket.closed).toEqual({ code: 4508, reason: 'SILENT_PEER' })
  })
})

describe('a subscription', () => {
  test.each([
    ['CR', '1\rdata: forged'],
    ['LF', '1\n\ndata: forged'],
    ['NUL', '1\0'],
  ])('whose event id has %s cannot forge an event', async (_, id) => {
    await using app = await start()
    const response = await RawResponse.open(
      `${app.url}/forged?input=${encodeURIComponent(JSON.stringify({ id }))}`,
    )
    await response.ended
    expect(response.text).not.toMatch(/^data: forged/m)
    expect(response.text).not.toContain('after')
    const [connected, before, error] = response.text.split('\n\n\n')
    expect(connected).toBe('event: connected\ndata: {}')
    expect(before).toBe('data: "before"')
    expect(error).toMatch(/^event: serialized-error\ndata: {.*"sluice":{"code":"EVENT_ID_INVALID"/)
  })

  test('too many on one connection gets a typed error', async () => {
    await using app = await start({ limits: { maxSubscriptions: 2 } })
    const socket = await RawWebSocket.open(app.url)
    for (const id of [1, 2, 3]) socket.subscribe(id, 'quiet')
    await socket.count(3)
    const refused = socket.frames.find(frame => frame.includes('"id":3'))
    expect(JSON.parse(refused ?? '')).toMatchObject({
      error: {
        data: { code: 'TOO_MANY_REQUESTS', sluice: { code: 'TOO_MANY_SUBSCRIPTIONS', data: { limit: 2 } } },
      },
    })
    socket.send({ id: 1, method: 'subscription.stop' })
    await socket.until('stopped')
    socket.subscribe(3, 'quiet')
    await eventually(() => socket.frames.filter(frame => frame.includes('started')).length === 3)
  })

  test('and every other call tells a SluiceError by code and data, over each carrier', async () => {
    await using app = await start()
    const expected = {
      message: 'Events are gone.',
      data: {
        code: 'PRECONDITION_FAILED',
        httpStatus: 412,
        sluice: { code: 'GAP', data: { first: 7 } },
      },
    }
    const response = await fetch(`${app.url}/gap`)
    expect(response.status).toBe(412)
    expect(await response.json()).toMatchObject({ error: expected })

    const stream = await RawResponse.open(`${app.url}/gapStream`)
    await stream.ended
    const [, json = ''] = /event: serialized-error\ndata: (.*)/.exec(stream.text) ?? []
    expect(JSON.parse(json)).toMatchObject(expected)

    const socket = await RawWebSocket.open(app.url)
    socket.send({ id: 1, method: 'query', params: { path: 'gap' } })
    await socket.count(1)
    socket.subscribe(2, 'gapStream')
    await socket.until('stopped')
    const errors = socket.frames.filter(frame => frame.includes('error'))
    for (const error of errors) expect(JSON.parse(error)).toMatchObject({ error: expected })
    expect(errors).toHaveLength(2)
    expect(app.reports.map(({ error }) => error.code)).toEqual(Array(4).fill('PRECONDITION_FAILED'))
  })
})

describe("an application's own mistake ends nothing but its request", () => {
  // Node would end the process, and vitest fails the file, at the first unhandled rejection.
  const throwing = (): never => {
    throw new Error('a mistake')
  }

  async function askEverything(
    url: string,
  ): Promise<{ query: string; stream: string; frames: readonly string[] }> {
    const query = await (await fetch(`${url}/fails`)).text()
    const stream = await RawResponse.open(`${url}/failsLater`)
    await stream.ended
    const socket = await RawWebSocket.open(url)
    socket.send({ id: 1, method: 'query', params: { path: 'fails' } })
    await socket.count(1)
    socket.subscribe(2, 'failsLater')
    await socket.until('"id":2,"error"')
    await socket.settled()
    return { query, stream: stream.text, frames: socket.frames }
  }

  function createFailing(config: object) {
    const broken = initTRPC.create({ isDev: false, ...config })
    return broken.router({
      fails: broken.procedure.query(throwing),
      failsLater: broken.procedure.subscription(async function* () {
        yield 1
        throwing()
      }),
    })
  }

  test.each([
    [
      'an onError that throws',
      {},
      function fails() {
        throwing()
      },
    ],
    [
      'an onError that rejects',
      {},
      async function fails() {
        throwing()
      },
    ],
    ['an error formatter that throws', { errorFormatter: throwing }, () => {}],
    [
      'an error formatter that returns what JSON cannot carry',
      { errorFormatter: () => ({ big: 1n }) },
      () => {},
    ],
    [
      'a transformer that throws',
      { transformer: { serialize: throwing, deserialize: (value: unknown) => value } },
      () => {},
    ],
  ])('%s', async (_, config, onError) => {
    // Where an onError fails, the console is what is left.
    using console_ = quietConsole()
    const served = await serve({ router: createFailing(config), port: 0, host: '127.0.0.1', onError })
    const told = await askEverything(served.url)
    expect(told.query).toContain('error')
    expect(told.stream).toContain('event: serialized-error')
    expect(told.frames.length).toBeGreaterThanOrEqual(2)
    expect(console_.errors > 0).toBe(onError.name === 'fails')
    await served.close()
  })
})

function quietConsole(): Disposable & { readonly errors: number } {
  const spy = vi.spyOn(console, 'error').mockImplementation(() => {})
  return {
    get errors() {
      return spy.mock.calls.length
    },
    [Symbol.dispose]: () => spy.mockRestore(),
  }
}

/** A TCP connection on which the WebSocket handshake is done, and everything after it is ours. */
async function openTcp(port: number, path = '/'): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.write(upgradeHead(path))
  await new Promise(resolve => socket.once('data', resolve))
  return socket
}
