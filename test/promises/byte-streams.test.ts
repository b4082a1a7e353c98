/**
 * Promises 3 and 4 for streams that are not the server's own: a request body that a procedure reads, a `ReadableStream`
 * that a subscription returns, and a subscription that a client reads as one. Who waits at one end is waited for at the
 * other, and who leaves is noticed.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { constants } from 'node:http2'
import { createTRPCClient } from '@trpc/client'
import { initTRPC, TRPCError } from '@trpc/server'
import { octetInputParser } from '@trpc/server/http'
import { iterate, sluiceLink } from 'trpc-sluice/client'
import { byteStream, serve, type SluiceOptions } from 'trpc-sluice/server'
import { Scope, fromReadableStream, toReadableStream, withSignal, type Clock } from 'trpc-sluice/shared'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { connectHttp2, type Http2Client } from '../interop/support/http2-client.ts'
import { RawTcp } from '../interop/support/raw-tcp.ts'
import { startSecureServer } from '../interop/support/secure-server.ts'
import { eventually } from '../kit/deadline.ts'
import { createFakeClock } from '../kit/fake-clock.ts'
import { collectGarbage } from '../support/memory.ts'

const chunkBytes = 64 * 1024
const maxStreamBytes = 64 * 1024 * 1024

/** What a procedure met on its way through a body. */
class Reading {
  bytes = 0
  failure: unknown = null
  cleanedUp = false
  /** It waits with each chunk, until it is let go. */
  readonly #gate: { open: () => void; readonly opened: Promise<void> }

  constructor() {
    let open = () => {}
    const opened = new Promise<void>(resolve => (open = resolve))
    this.#gate = { open, opened }
  }

  open(): void {
    this.#gate.open()
  }

  async *read(input: ReadableStream<Uint8Array>) {
    try {
      for await (const chunk of fromReadableStream(input)) {
        this.bytes += chunk.byteLength
        yield chunk
        await this.#gate.opened
      }
    } catch (thrown) {
      this.failure = thrown
      throw thrown
    } finally {
      this.cleanedUp = true
    }
  }
}

function createApp() {
  const t = initTRPC.create()
  const reading = new Reading()
  const endless = { pulled: 0, cancelled: false }
  const quiet = { cancelled: false }
  const counted = { yielded: 0, ended: false }
  const digest = async (input: ReadableStream<Uint8Array>) => {
    const hash = createHash('sha256')
    for await (const chunk of fromReadableStream(input)) hash.update(chunk)
    return hash.digest('hex')
  }
  const router = t.router({
    digest: t.procedure.input(byteStream()).mutation(({ input }) => digest(input)),
    stockDigest: t.procedure.input(octetInputParser).mutation(({ input }) => digest(input)),
    read: t.procedure.input(byteStream()).mutation(async ({ input }) => {
      for await (const _ of reading.read(input));
      return reading.bytes
    }),
    first: t.procedure.input(byteStream()).mutation(async ({ input }) => {
      for await (const chunk of fromReadableStream(input)) return chunk.byteLength
      return 0
    }),
    unread: t.procedure.input(byteStream()).mutation(() => 'no need'),
    declined: t.procedure.input(byteStream()).mutation(async ({ input }) => {
      await input.cancel()
      return 'no, thanks'
    }),
    refused: t.procedure.input(byteStream()).mutation(() => {
      throw new TRPCError({ code: 'FORBIDDEN', message: 'not from you' })
    }),
    endless: t.procedure.subscription(
      () =>
        new ReadableStream<string>({
          pull: controller => controller.enqueue(`${++endless.pulled} ${'x'.repeat(1_000)}`),
          cancel: () => void (endless.cancelled = true),
        }),
    ),
    quiet: t.procedure.subscription(async function* ({ signal }) {
      yield 'ready'
      const source = new ReadableStream<string>({ cancel: () => void (quiet.cancelled = true) })
      yield* withSignal(fromReadableStream(source), signal)
    }),
    counted: t.procedure.subscription(async function* () {
      try {
        for (;;) yield { n: ++counted.yielded, text: 'x'.repeat(1_000) }
      } finally {
        counted.ended = true
      }
    }),
  })
  return { router, reading, endless, quiet, counted }
}

type App = ReturnType<typeof createApp>

/** The two ways in: over the network to Node's server, and as a `Request` to `sluice.fetch`. */
const hosts = ['node', 'fetch'] as const

async function start(
  host: (typeof hosts)[number] = 'node',
  limits: SluiceOptions<App['router']>['limits'] = {},
  clock?: Clock,
) {
  const scope = new Scope()
  const app = createApp()
  const errors: string[] = []
  const served = await serve({
    router: app.router,
    port: 0,
    host: '127.0.0.1',
    limits: { maxStreamBytes, ...limits },
    clock,
    onError: ({ error }) => errors.push(error.message),
  })
  scope.defer(() => served.close())
  const inProcess = { fetch: ((url, init) => served.sluice.fetch(new Request(url, init))) as typeof fetch }
  const connect = (transport: 'auto' | 'sse' = 'sse') => {
    const link = sluiceLink<App['router']>({
      url: served.url,
      transport,
      WebSocket,
      ...(host === 'fetch' && inProcess),
    })
    scope.defer(() => link.close())
    return createTRPCClient<App['router']>({ links: [link] })
  }
  return { ...app, ...served, errors, connect, [Symbol.asyncDispose]: () => scope.close() }
}

/** A source of so many bytes that counts what was asked of it. */
function createSource(bytes: number) {
  const source = { produced: 0, cancelled: false }
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      pull(controller) {
        if (source.produced >= bytes) return controller.close()
        controller.enqueue(new Uint8Array(chunkBytes).fill(source.produced / chunkBytes))
        source.produced += chunkBytes
      },
      cancel: () => void (source.cancelled = true),
    },
    { highWaterMark: 0 },
  )
  return { source, stream }
}

/** Settles when a number has not moved for so long that nothing is on its way any more. */
async function standstill(read: () => number): Promise<number> {
  let last = -1
  let looks = 0
  await eventually(() => {
    looks = read() === last ? looks + 1 : 0
    last = read()
    return looks > 40
  })
  return last
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

test.each(hosts)('streams, blobs and bytes arrive as they were sent, through sluice.%s', async host => {
  await using app = await start(host)
  const client = app.connect()
  const bytes = crypto.getRandomValues(new Uint8Array(50_000))
  const whole = sha256(bytes)
  expect(await client.digest.mutate(new Blob([bytes]).stream())).toBe(whole)
  expect(await client.digest.mutate(new Blob([bytes]))).toBe(whole)
  expect(await client.digest.mutate(bytes)).toBe(whole)
  expect(await client.stockDigest.mutate(bytes)).toBe(whole)
  expect(await client.digest.mutate(new Uint8Array())).toBe(sha256(new Uint8Array()))
  expect(app.errors).toEqual([])
})

test('a client with a WebSocket sends a stream beside it', async () => {
  await using app = await start()
  const client = app.connect('auto')
  const events = iterate(client.counted, undefined)
  expect((await events.next()).value).toMatchObject({ n: 1 })
  expect(app.sluice.stats().connections.websocket).toBe(1)
  expect(await client.digest.mutate(new Blob(['abc']).stream())).toBe(sha256(Buffer.from('abc')))
  await events.return?.()
})

test.each(hosts)('a slow procedure holds back who sends to it, through sluice.%s', async host => {
  await using app = await start(host)
  const total = 48 * 1024 * 1024
  const { source, stream } = createSource(total)
  const answered = app.connect().read.mutate(stream)
  await eventually(() => app.reading.bytes > 0)
  // What Node and the kernel hold of a connection, and nothing beyond.
  expect(await standstill(() => source.produced)).toBeLessThan(total / 2)
  expect(app.reading.bytes).toBeLessThan(2 * chunkBytes)
  app.reading.open()
  expect(await answered).toBe(total)
  expect(source.produced).toBe(total)
})

test.each(hosts)(
  'a client that leaves ends the reading with an abort, which is no error: sluice.%s',
  async host => {
    await using app = await start(host)
    const { source, stream } = createSource(maxStreamBytes)
    const leaving = new AbortController()
    const answered = app.connect().read.mutate(stream, { signal: leaving.signal })
    await eventually(() => app.reading.bytes > 0)
    leaving.abort()
    await expect(answered).rejects.toThrow('abort')
    app.reading.open()
    await eventually(() => app.reading.cleanedUp)
    expect(app.reading.failure).toMatchObject({ name: 'AbortError' })
    await eventually(() => source.cancelled)
    expect(app.errors).toEqual([])
  },
)

test.each(hosts)('neither end keeps what has passed, through sluice.%s', async host => {
  await using app = await start(host)
  app.reading.open()
  const total = 48 * 1024 * 1024
  let kept = Infinity
  const atEnd = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    async flush() {
      // What a buffer held is freed in the background, after the buffer itself.
      for (let round = 0; round < 4; round++) {
        collectGarbage()
        await new Promise(resolve => setImmediate(resolve))
      }
      kept = process.memoryUsage().arrayBuffers
    },
  })
  expect(await app.connect().read.mutate(createSource(total).stream.pipeThrough(atEnd))).toBe(total)
  expect(kept).toBeLessThan(total / 2)
})

const openUpload = ({ session }: Http2Client, path: string) =>
  session.request({ ':path': path, ':method': 'POST', 'content-type': 'application/octet-stream' })

test('a reset HTTP/2 stream is not taken for the end of its body', async () => {
  await using app = await start()
  await using server = await startSecureServer(app.sluice)
  using client = await connectHttp2(server)
  const upload = openUpload(client, '/read')
  upload.on('error', () => {}) // it is reset
  upload.write(new Uint8Array(1_000))
  await eventually(() => app.reading.bytes === 1_000)
  upload.destroy()
  app.reading.open()
  await eventually(() => app.reading.cleanedUp)
  expect(app.reading.failure).toMatchObject({ name: 'AbortError' })
  expect(app.errors).toEqual([])
})

test.each(hosts)('a body beyond the limit is refused, through sluice.%s', async host => {
  await using app = await start(host, { maxStreamBytes: 10 * chunkBytes })
  const client = app.connect()
  app.reading.open()
  expect(await client.read.mutate(createSource(10 * chunkBytes).stream)).toBe(10 * chunkBytes)
  const tooLong = client.read.mutate(createSource(11 * chunkBytes).stream)
  await expect(tooLong).rejects.toMatchObject({ data: { code: 'PAYLOAD_TOO_LARGE', httpStatus: 413 } })
  expect(app.sluice.stats().refusals).toEqual({ PAYLOAD_TOO_LARGE: 1 })
})

test('without a limit of its own, a stream has that of other bodies', async () => {
  await using app = await start('node', { maxStreamBytes: undefined, maxBodyBytes: 2 * chunkBytes })
  const tooLong = app.connect().digest.mutate(createSource(3 * chunkBytes).stream)
  await expect(tooLong).rejects.toMatchObject({ data: { code: 'PAYLOAD_TOO_LARGE' } })
})

test.each(hosts)('a procedure may answer before it has read everything, through sluice.%s', async host => {
  await using app = await start(host)
  const client = app.connect()
  for (let i = 0; i < 3; i++) {
    expect(await client.first.mutate(new Uint8Array(20 * chunkBytes))).toBeGreaterThan(0)
    expect(await client.unread.mutate(new Uint8Array(20 * chunkBytes))).toBe('no need')
    await expect(client.refused.mutate(new Uint8Array(10))).rejects.toThrow('not from you')
  }
  expect(app.errors).toEqual(Array(3).fill('not from you'))
})

test('a body that a procedure cancels before it has read of it is cancelled for the host, too', async () => {
  await using app = await start('fetch')
  const { source, stream } = createSource(20 * chunkBytes)
  const headers = { 'content-type': 'application/octet-stream' }
  const init = { method: 'POST', headers, body: stream, duplex: 'half' } as RequestInit
  const response = await app.sluice.fetch(new Request(`${app.url}/declined`, init))
  expect(await response.text()).toContain('no, thanks')
  await eventually(() => source.cancelled)
})

test('who sends on and on after the answer is cut off', async () => {
  await using app = await start()
  using peer = await RawTcp.open(app.port)
  const head = ['POST /unread HTTP/1.1', 'Host: localhost', 'Content-Type: application/octet-stream']
  peer.write([...head, 'Content-Length: 1000000', '', ''].join('\r\n'))
  await peer.until('"no need"')
  const sending = setInterval(() => peer.write('x'), 5)
  await peer.closed
  clearInterval(sending)
  expect(app.errors).toEqual([])
})

test('who sends on and on after the answer, over HTTP/2, has its stream closed', async () => {
  await using app = await start()
  await using server = await startSecureServer(app.sluice)
  using client = await connectHttp2(server)
  const upload = openUpload(client, '/unread')
  const closed = once(upload, 'close')
  const sending = setInterval(() => upload.write('x'), 5)
  expect(await upload.setEncoding('utf8').toArray()).toEqual(['{"result":{"data":"no need"}}'])
  await closed
  clearInterval(sending)
  expect(upload.rstCode).toBe(constants.NGHTTP2_NO_ERROR)
  expect(client.session.closed).toBe(false)
  expect(app.errors).toEqual([])
})

test.each(hosts)(
  'who is held back for longer than a request may take is refused, through sluice.%s',
  async host => {
    const clock = createFakeClock()
    await using app = await start(host, {}, clock)
    const tooLate = expect(app.connect().read.mutate(createSource(maxStreamBytes).stream)).rejects
    const refused = tooLate.toMatchObject({
      data: { code: 'TIMEOUT', httpStatus: 408, sluice: { code: 'SILENT_PEER' } },
    })
    await eventually(() => app.reading.bytes > 0)
    await clock.advance(60_000)
    // Through fetch, where nothing tells how much has arrived, it is by reading on that the procedure learns of it.
    if (host === 'node') await refused
    app.reading.open()
    await refused
    await eventually(() => app.reading.cleanedUp)
    expect(app.sluice.stats().refusals).toEqual({ SILENT_PEER: 1 })
  },
)

test('a subscription may return a ReadableStream, which waits for its reader and is cancelled when he leaves', async () => {
  await using app = await start()
  const reader = toReadableStream(iterate(app.connect().endless, undefined, { maxBuffered: 10 })).getReader()
  const first = await reader.read()
  expect(first.value).toMatch(/^1 x/)
  const held = await standstill(() => app.endless.pulled)
  for (let n = 2; n < held + 2_000; n++) expect((await reader.read()).value).toMatch(new RegExp(`^${n} x`))
  await reader.cancel()
  await eventually(() => app.endless.cancelled)
})

test('a stream that is quiet is cancelled at once when its subscriber leaves', async () => {
  await using app = await start()
  const events = iterate(app.connect().quiet, undefined)
  await events.next()
  await events.return?.()
  await eventually(() => app.quiet.cancelled)
  await eventually(() => app.sluice.stats().subscriptions === 0)
  expect(app.sluice.stats().overstayed).toBe(0)
})

test.each(hosts)(
  'a subscription read as a ReadableStream holds the generator back, over sluice.%s',
  async host => {
    await using app = await start(host)
    const stream = toReadableStream(iterate(app.connect().counted, undefined, { maxBuffered: 10 }))
    const reader = stream.getReader()
    await reader.read()
    const held = await standstill(() => app.counted.yielded)
    expect(held * 1_000).toBeLessThan(24 * 1024 * 1024)
    for (let n = 2; n <= held + 1_000; n++) expect((await reader.read()).value?.n).toBe(n)
    await reader.cancel()
    await eventually(() => app.counted.ended)
  },
)
