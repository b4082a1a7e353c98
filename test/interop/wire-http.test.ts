/** The same requests to tRPC's own HTTP adapter and to ours: status, headers and every byte of the body. */
import type { IncomingHttpHeaders } from 'node:http'
import superjson from 'superjson'
import { describe, expect, test } from 'vitest'
import { createApp, type AppConfig } from './support/app.ts'
import { withPeer, type Peer, type PeerKind, type PeerOptions } from './support/peers.ts'
import type { RawRequest } from './support/raw-http.ts'

interface Setting {
  readonly app?: AppConfig
  readonly options?: PeerOptions
}

type Encode = (input: unknown) => string

/** What a client sees of a response. */
interface Seen {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly ended: 'complete' | 'aborted'
}

async function see(peer: Peer, path: string, request?: RawRequest): Promise<Seen> {
  const response = await peer.get(path, request)
  const ended = await response.ended
  const { date: _clock, ...headers } = response.headers
  return { status: response.status, headers, text: response.text, ended }
}

/** Makes the same requests to each, and compares what was seen. */
function sameResponses(
  name: string,
  ask: (peer: Peer, encode: Encode) => Promise<readonly Seen[]>,
  setting: Setting = {},
): void {
  test.each([false, true])(`${name} (superjson: %s)`, async useSuperjson => {
    const encode: Encode = input =>
      encodeURIComponent(JSON.stringify(useSuperjson ? superjson.serialize(input) : input))
    const hold = (kind: PeerKind) =>
      withPeer(
        kind,
        createApp({ superjson: useSuperjson, ...setting.app }),
        setting.options ?? {},
        async peer => {
          const seen = await ask(peer, encode)
          // tRPC tells onError of a failed set-up twice over SSE, once when it is caught and once when it is written.
          return { seen, errors: [...new Set(peer.errors)] }
        },
      )
    const stock = await hold('stock')
    expect(stock.seen.length).toBeGreaterThan(0)
    expect(await hold('ours')).toEqual(stock)
  })
}

/** One request after the other. */
function sameFor(name: string, paths: (encode: Encode) => readonly string[], setting: Setting = {}): void {
  sameResponses(
    name,
    async (peer, encode) => {
      const seen: Seen[] = []
      for (const path of paths(encode)) seen.push(await see(peer, path))
      return seen
    },
    setting,
  )
}

describe('event streams', () => {
  sameFor('connected, data, return', () => ['/plain', '/deep.ticks', '/late.ticks', '/late.ticks'])

  sameFor('a tracked event carries its id', encode => [`/ticks?input=${encode({ n: 3 })}`])

  sameFor('lastEventId in the query is merged into the input', encode => [
    `/ticks?input=${encode({ n: 3 })}&lastEventId=1`,
    `/ticks?input=${encode({ n: 3 })}&Last-Event-Id=2`,
    `/ticks?input=${encode({ n: 3 })}&lastEventId=`,
    '/echoInput?lastEventId=seven',
    `/echoInput?lastEventId=seven&input=${encode('text')}`,
    `/echoInput?lastEventId=seven&input=${encode({ room: 'a' })}`,
    `/echoInput?lastEventId=seven&input=${encode(null)}`,
  ])

  sameResponses('lastEventId in the header wins over the query', async (peer, encode) => [
    await see(peer, `/ticks?input=${encode({ n: 3 })}&lastEventId=1`, { headers: { 'last-event-id': '2' } }),
  ])

  sameFor('errors are serialized-error events', () => [
    '/fails',
    '/failsPlainly',
    '/failsAtFirst',
    '/failsInSetUp',
    '/notIterable',
    '/ticks',
    '/ticks?input={',
    '/echoInput?input=no-json',
  ])

  sameFor(
    "errors take the shape of the router's own formatter",
    encode => ['/fails', `/ticks?input=${encode({ n: 'x' })}`],
    { app: { formatErrors: true }, options: { createContext: () => ({ user: 'ann' }) } },
  )

  sameFor("a procedure's own AbortError ends the stream without a word", () => ['/abortError'])

  sameFor('observables stream like generators', () => ['/observed', '/observedFails'])

  sameFor('a value that cannot be encoded is an error of the stream', () => ['/bigints'])

  sameFor(
    'connection params make the context',
    encode => [
      `/echoInput?connectionParams=${encodeURIComponent('{"token":"ann"}')}&input=${encode(1)}`,
      '/echoInput?connectionParams=null',
      '/echoInput',
      '/echoInput?connectionParams=no-json',
      '/echoInput?connectionParams={"token":7}',
      '/echoInput?connectionParams={"token":"wrong"}',
    ],
    {
      options: {
        createContext: ({ info }) => {
          const params = (info as { connectionParams: Record<string, string> | null }).connectionParams
          if (params?.token === 'wrong') throw new Error('who are you?')
          return { user: params?.token ?? 'no params' }
        },
      },
    },
  )

  sameResponses('what else may be asked of a subscription', async (peer, encode) => [
    await see(peer, '/plain', { method: 'HEAD' }),
    await see(peer, '/plain', { method: 'POST' }),
    await see(peer, '/plain', { method: 'POST', headers: { 'content-type': 'application/json' } }),
    await see(peer, '/plain', { method: 'PUT', headers: { 'content-type': 'application/json' } }),
    await see(peer, '/plain', { headers: { 'content-type': 'multipart/form-data; boundary=x' } }),
    await see(peer, '/plain', { headers: { 'trpc-accept': 'application/jsonl' } }),
    await see(peer, `/plain?batch=1&input=${encode({})}`),
    await see(peer, '/plain,plain?batch=1'),
    await see(peer, '/no.such.path'),
    await see(peer, '/__proto__'),
    await see(peer, '/broken.ticks'),
    await see(peer, '/%E0%A4%A'),
  ])

  sameResponses(
    'with method override, POST carries the input in its body',
    async (peer, encode) => {
      const headers = { 'content-type': 'application/json' }
      const body = decodeURIComponent(encode({ n: 2 }))
      return [
        await see(peer, '/ticks', { method: 'POST', headers, body }),
        await see(peer, '/ticks?lastEventId=1', { method: 'POST', headers, body }),
        await see(peer, '/ticks', { method: 'POST', headers, body: '{' }),
        await see(peer, '/plain', { method: 'PUT', headers }),
      ]
    },
    { options: { allowMethodOverride: true } },
  )
})

describe('what the app has set for SSE', () => {
  sameFor('client options are told in connected', () => ['/deep.ticks'], {
    app: { sse: { client: { reconnectAfterInactivityMs: 3_000 } } },
  })

  sameFor('disabled', () => ['/deep.ticks'], { app: { sse: { enabled: false } } })

  test('pings that come too seldom for the client are refused', async () => {
    const router = () =>
      createApp({
        sse: { ping: { enabled: true, intervalMs: 5_000 }, client: { reconnectAfterInactivityMs: 3_000 } },
      })
    const hold = (kind: PeerKind) =>
      withPeer(kind, router(), {}, async peer => {
        const { status, text } = await see(peer, '/deep.ticks')
        // The path of the procedure is beside it in ours.
        return { status, message: (JSON.parse(text) as { error: { message: string } }).error.message }
      })
    expect(await hold('ours')).toEqual(await hold('stock'))
  })

  sameFor('a stream is cut after its longest duration, without return', () => ['/untilStopped', '/quiet'], {
    app: { sse: { maxDurationMs: 100 } },
  })

  // Of an observable: tRPC cannot end a generator that waits, and so would leave the response open.
  sameFor('emit and end: the first value, and no return', () => ['/observedOpen'], {
    app: { sse: { emitAndEndImmediately: true } },
  })

  sameResponses(
    'pings when it is quiet',
    async peer => {
      const response = await peer.get('/untilStopped')
      await response.until('event: ping\ndata: \n\n\n')
      const [first] = response.text.split('event: ping')
      return [{ status: response.status, headers: {}, text: first ?? '', ended: 'complete' }]
    },
    { app: { sse: { ping: { enabled: true, intervalMs: 50 } } } },
  )

  sameResponses(
    'response meta sets status and headers',
    async peer => [
      await see(peer, '/deep.ticks'),
      await see(peer, '/whoAmI'),
      await see(peer, '/failsInSetUp'),
    ],
    {
      options: {
        createContext: () => ({ user: 'ann' }),
        responseMeta: ({ ctx, paths, type, eagerGeneration, errors, data }) => ({
          status: 203,
          headers: new Headers([
            ['x-about', JSON.stringify([ctx, paths, type, eagerGeneration, errors.length, data.length])],
            ['set-cookie', 'a=1'],
            ['set-cookie', 'b=2'],
          ]),
        }),
      },
    },
  )

  sameFor('response meta may be a plain object', () => ['/deep.ticks'], {
    options: { responseMeta: () => ({ headers: { 'cache-control': 'private', 'x-many': ['1', '2'] } }) },
  })
})

describe('the host', () => {
  sameFor('a context that throws', () => ['/deep.ticks', '/whoAmI'], {
    options: {
      createContext: () => {
        throw new Error('no database')
      },
    },
  })

  sameFor('a middleware runs before each request', () => ['/deep.ticks', '/whoAmI'], {
    options: {
      middleware: (_req, res, next) => {
        res.setHeader('access-control-allow-origin', '*')
        next()
      },
    },
  })

  sameFor('a middleware may refuse', () => ['/deep.ticks', '/whoAmI'], {
    options: { middleware: (_req, _res, next) => next(new Error('not you')) },
  })

  sameFor('a base path', () => ['/api/trpc/deep.ticks', '/api/trpc/whoAmI', '/api/trpc/nowhere'], {
    options: { basePath: '/api/trpc/' },
  })
})

describe('queries, mutations and batches', () => {
  sameFor('by GET', encode => [
    `/query?input=${encode({ name: 'x' })}`,
    '/query',
    '/date',
    '/conflict',
    '/bug',
    '/bigint',
    '/stream',
    '/mutation',
    '/whoAmI,conflict,nowhere?batch=1',
    '/late.hello',
  ])

  sameResponses('by POST', async (peer, encode) => {
    const headers = { 'content-type': 'application/json' }
    const body = decodeURIComponent(encode({ any: 'input' }))
    return [
      await see(peer, '/mutation', { method: 'POST', headers, body }),
      await see(peer, '/mutation', { method: 'POST', headers, body: '{' }),
      await see(peer, '/mutation', { method: 'POST', body }),
      await see(peer, '/mutation,mutation?batch=1', { method: 'POST', headers, body: `{"0":${body}}` }),
    ]
  })

  sameResponses('streamed batches', async peer => [
    await see(peer, '/whoAmI,stream,conflict?batch=1', { headers: { 'trpc-accept': 'application/jsonl' } }),
  ])

  sameResponses(
    'a body that is too large',
    async peer => [
      await see(peer, '/mutation', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify('x'.repeat(2_000)),
      }),
    ],
    { options: { maxBodySize: 1_000 } },
  )
})
