/**
 * Promise 7: input that was made to harm, through every way in that can carry it. It is refused in a typed way and
 * counted, or it is harmless; two neighbours on the same server notice nothing.
 */
import { initTRPC } from '@trpc/server'
import superjson from 'superjson'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { eventually } from '../kit/deadline.ts'
import { RawResponse } from '../interop/support/raw-http.ts'
import { RawTcp } from '../interop/support/raw-tcp.ts'
import { RawWebSocket } from '../interop/support/raw-websocket.ts'
import { createRouter, deep, keys, post, query, startWithNeighbours } from './support/neighbours.ts'

type App = Awaited<ReturnType<typeof startWithNeighbours>>

/** What a stream says first: that it is open, or why it is not. */
async function overStream(url: string, request?: typeof post & { readonly body: string }): Promise<string> {
  await using response = await RawResponse.open(url, request)
  await Promise.race([response.until('connected'), response.ended])
  return response.text
}

const subscription = (input: unknown, id: unknown = 1) => ({
  id,
  method: 'subscription',
  params: { path: 'quiet', input },
})

/** What the stream carrier says of the first subscription, or why it is not open. */
async function overStreamOfMany(url: string, body: string): Promise<string> {
  await using response = await RawResponse.open(`${url}/:stream?sluice=1`, { ...post, body })
  await Promise.race([response.until('"id":'), response.ended])
  return response.text
}

const listWith = (input: string) =>
  `{"subscriptions":[${JSON.stringify(subscription('here')).replace('"here"', () => input)}]}`

/** What a stream of many says, or why it is not open. */
const saysOfMany = /"id":|"error"/

/** What a stream of either kind says first, on a connection of which others are in use. */
async function overHttp2(app: App, path: string, body?: string): Promise<string> {
  const { client } = await app.http2()
  return await client.begin(path, body, path.startsWith('/:stream') ? saysOfMany : /connected/)
}

async function throughFetch(app: App, path: string, body: string, until = /./): Promise<string> {
  // In pieces, and without saying how many bytes there will be.
  const pieces = new Blob([body]).stream()
  const response = await app.sluice.fetch(
    new Request(`${app.url}/${path}`, { ...post, body: pieces, duplex: 'half' } as RequestInit),
  )
  let text = ''
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk
    if (until.test(text)) break // which cancels it
  }
  return text
}

/** Each takes an input as JSON, and gives the beginning of the answer. */
const waysIn: Record<string, (app: App, json: string) => Promise<string>> = {
  async 'a WebSocket'(app, json) {
    await using socket = await RawWebSocket.open(app.url)
    socket.send(JSON.stringify(query(1, 'here')).replace('"here"', () => json))
    const closed = socket.closed.then(({ code }) => (code === 1009 ? 'PAYLOAD_TOO_LARGE' : `closed: ${code}`))
    return await Promise.race([socket.count(1).then(([answer = '']) => answer), closed])
  },
  'the body of a call': async (app, json) => (await fetch(`${app.url}/save`, { ...post, body: json })).text(),
  'the body of a stream': (app, json) => overStream(`${app.url}/quiet`, { ...post, body: json }),
  'the list of a stream of many': (app, json) => overStreamOfMany(app.url, listWith(json)),
  'the body of a call by HTTP/2': async (app, json) => (await app.http2()).client.post('/save', json),
  'the body of a stream by HTTP/2': (app, json) => overHttp2(app, '/quiet', json),
  'the list of a stream of many by HTTP/2': (app, json) =>
    overHttp2(app, '/:stream?sluice=1', listWith(json)),
  'the body of a call through fetch': (app, json) => throughFetch(app, 'save', json),
  'the body of a stream through fetch': (app, json) => throughFetch(app, 'quiet', json),
  'the list of a stream of many through fetch': (app, json) =>
    throughFetch(app, ':stream?sluice=1', listWith(json), saysOfMany),
}
const withUrl: typeof waysIn = {
  ...waysIn,
  'the URL of a call': async (app, json) =>
    (await fetch(`${app.url}/echo?input=${encodeURIComponent(json)}`)).text(),
  'the URL of a stream': (app, json) => overStream(`${app.url}/quiet?input=${encodeURIComponent(json)}`),
  'the URL of a stream by HTTP/2': (app, json) => overHttp2(app, `/quiet?input=${encodeURIComponent(json)}`),
}

const start = (options: object = {}) => startWithNeighbours({ allowMethodOverride: true, ...options })

describe.each(Object.entries(withUrl))('input by %s', (name, send) => {
  test('that is nested 100,000 deep is refused', async () => {
    await using app = await start()
    // A URL of more than 16 KiB is refused by Node.
    const levels = name.startsWith('the URL') ? 1_000 : 100_000
    expect(await send(app, deep(levels))).toContain('"code":"INPUT_TOO_DEEP"')
    expect(app.refusals()).toEqual({ INPUT_TOO_DEEP: 1 })
  })

  const evil =
    '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"then":{"then":1},"toString":0}'

  test('with __proto__, constructor and then pollutes nothing and stalls nothing', async () => {
    await using app = await start()
    expect(await send(app, evil)).toMatch(/result|connected/)
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    await app.calm()
  })

  test.each([
    ['values', '{"values":{"__proto__.polluted":["Date"],"constructor.prototype.polluted":["Date"]}}'],
    ['references', '{"referentialEqualities":{"a":["__proto__.polluted","constructor.prototype.polluted"]}}'],
    ['custom types', '{"values":{"a":[["custom","__proto__"]],"b":[["class","constructor"]]}}'],
    ['nonsense', '{"values":"then","referentialEqualities":1}'],
  ])('with hostile %s in the metadata of superjson is refused or harmless', async (_, meta) => {
    await using app = await start({ router: createRouter({ transformer: superjson }) })
    const input = `{"json":{"a":{"polluted":"2020-01-01"},"b":1},"meta":${meta}}`
    expect(await send(app, input)).toMatch(/result|connected|"code":"(BAD_REQUEST|PARSE_ERROR)"/)
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    await app.calm()
  })

  test.each([
    ['a list of four thousand million', '{"a":[0]}', '{"values":{"a.4000000000":["undefined"]},"v":1}'],
    ['8 GB of numbers', '1e9', '{"values":[["typed-array","Float64Array"]],"v":1}'],
  ])('that would have superjson make %s is refused', async (_, json, meta) => {
    await using app = await start({ router: createRouter({ transformer: superjson }) })
    expect(await send(app, `{"json":${json},"meta":${meta}}`)).toMatch(/"code":"(BAD_REQUEST|PARSE_ERROR)"/)
    await eventually(() => app.refusals().MESSAGE_INVALID)
    expect(app.refusals()).toEqual({ MESSAGE_INVALID: 1 })
    await app.calm()
  })

  describe('that its transformer makes deeper than it is', () => {
    const chain = (levels: number, end: string) => '{"a":'.repeat(levels) + end + '}'.repeat(levels)
    const path = (levels: number) => Array(levels).fill('a').join('.')
    const refused = /"code":"INPUT_TOO_DEEP"/

    test.each([
      ['by one object in the place of another', `{"one":["two.${path(30)}"]}`],
      ['by a circle', `{"one":["one.${path(20)}"]}`],
      ['by the whole in the place of a part', `[["one.${path(20)}"]]`],
    ])('%s is refused', async (_, equalities) => {
      await using app = await start({ router: createRouter({ transformer: superjson }) })
      const json = `{"one":${chain(40, '1')},"two":${chain(40, 'null')}}`
      const input = `{"json":${json},"meta":{"referentialEqualities":${equalities},"v":1}}`
      expect(await send(app, input)).toMatch(refused)
      expect(app.refusals()).toEqual({ INPUT_TOO_DEEP: 1 })
    })

    test('by a map is refused', async () => {
      await using app = await start({ router: createRouter({ transformer: superjson }) })
      const json = `{"one":[["k",${chain(40, '1')}]],"two":[["k",${chain(40, 'null')}]]}`
      const meta = `{"values":{"one":["map"],"two":["map"]},"referentialEqualities":{"one":["two.0.1.${path(30)}"]},"v":1}`
      expect(await send(app, `{"json":${json},"meta":${meta}}`)).toMatch(refused)
    })

    test('by what it reads in a text is refused', async () => {
      const transformer = {
        serialize: (value: unknown) => value,
        deserialize: (value: unknown) => (typeof value === 'string' ? (JSON.parse(value) as unknown) : value),
      }
      await using app = await start({ router: createRouter({ transformer }) })
      expect(await send(app, JSON.stringify(deep(65)))).toMatch(refused)
      expect(await send(app, JSON.stringify(deep(64)))).toMatch(/result|connected/)
    })

    test('and yet not deeper than it may be is taken', async () => {
      await using app = await start({ router: createRouter({ transformer: superjson }) })
      const json = `{"one":${chain(40, '1')},"two":${chain(40, 'null')}}`
      const meta = `{"referentialEqualities":{"one":["two.${path(20)}"]},"v":1}`
      expect(await send(app, `{"json":${json},"meta":${meta}}`)).toMatch(/result|connected/)
      expect(app.refusals()).toEqual({})
    })
  })
})

test.each(Object.entries(waysIn))('1,000,000 keys by %s are too large', async (_, send) => {
  await using app = await start()
  expect(await send(app, keys(1_000_000))).toContain('PAYLOAD_TOO_LARGE')
  await eventually(() => app.refusals().PAYLOAD_TOO_LARGE)
  expect(app.refusals()).toEqual({ PAYLOAD_TOO_LARGE: 1 })
})

describe('connection params', () => {
  const evil = '{"__proto__":"x","constructor":"y","then":"z"}'

  const overWebSocket = async (url: string, params: string) => {
    await using socket = await RawWebSocket.open(url)
    socket.send(`{"method":"connectionParams","data":${params}}`)
    socket.send(query(1, undefined, 'params'))
    const [answer = ''] = await socket.count(1)
    return answer
  }
  const say: Record<string, (app: App, params: string) => Promise<string>> = {
    'a WebSocket': (app, params) => overWebSocket(`${app.url}?connectionParams=1`, params),
    'a renewal': (app, params) => overWebSocket(`${app.url}?sluice=1`, params),
    'a call': async (app, params) =>
      (await fetch(`${app.url}/params?connectionParams=${encodeURIComponent(params)}`)).text(),
    'a stream': (app, params) =>
      overStream(`${app.url}/quiet?connectionParams=${encodeURIComponent(params)}`),
    'a stream of many': (app, params) =>
      overStreamOfMany(
        app.url,
        `{"subscriptions":[${JSON.stringify(subscription(null))}],"connectionParams":${params}}`,
      ),
  }

  test.each(Object.entries(say))('of %s with __proto__, constructor and then are text', async (_, ask) => {
    await using app = await start()
    expect(await ask(app, evil)).toMatch(/"then":"z"|connected/)
    expect(({} as { x?: unknown }).x).toBeUndefined()
    await app.calm()
  })

  test.each(Object.entries(say))('of %s that are no text by name are refused', async (name, ask) => {
    await using app = await start()
    let refused = 0
    for (const params of ['1', '"x"', '[]', '{"a":1}', '{"a":{"b":"c"}}', '{', deep(1_000)]) {
      const expected = name !== 'a WebSocket' || params !== '{' ? /"error"|serialized-error/ : /PARSE_ERROR/
      expect(await ask(app, params), params).toMatch(expected)
      expect(app.refusals(), params).toEqual({ MESSAGE_INVALID: ++refused })
    }
    await app.calm()
  })
})

test('a stream of many with a list that is none, or too long, is refused; what is wrong in it costs only itself', async () => {
  await using app = await start()
  const bodies = ['', '{', '[]', '1', '{"subscriptions":{}}', '{"subscriptions":[],"holdMs":-1}']
  for (const body of bodies) {
    expect(await overStreamOfMany(app.url, body), body).toMatch(/"error".*"code":"(BAD_REQUEST|PARSE_ERROR)"/)
  }
  const many = Array.from({ length: 10_000 }, (_, id) => subscription(null, id))
  expect(await overStreamOfMany(app.url, JSON.stringify({ subscriptions: many }))).toContain('BATCH_TOO_LONG')
  expect(app.refusals()).toEqual({ MESSAGE_INVALID: bodies.length, BATCH_TOO_LONG: 1 })
  const odd = [
    null,
    1,
    'x',
    [],
    {},
    { id: {}, method: 'subscription' },
    { id: 1, method: 'query', params: {} },
  ]
  for (const one of odd) {
    await using response = await RawResponse.open(`${app.url}/:stream?sluice=1`, {
      ...post,
      body: JSON.stringify({ subscriptions: [one, subscription(null, 'good')] }),
    })
    await response.until('{"id":"good","result":{"type":"started"')
    expect(response.text, JSON.stringify(one)).toContain('"error"')
  }
  await app.calm()
})

const noUtf8 = Uint8Array.from([0xc3, 0x28])
const json = 'Content-Type: application/json\r\nContent-Length: 2'
const params = 'connectionParams=%ff'

test.each([
  ['the path of a call', 'GET /%ff%fe HTTP/1.1'],
  ['the input of a call', 'GET /echo?input=%ff HTTP/1.1'],
  ['the input of a batch', 'GET /echo,echo,echo?batch=1&input=%ff HTTP/1.1'],
  ['the input of a stream', 'GET /quiet?input=%c3%28 HTTP/1.1'],
  ['the params of a call', `GET /echo?${params} HTTP/1.1`],
  ['the params of a stream', `GET /quiet?${params} HTTP/1.1`],
  ['the body of a call', `POST /save HTTP/1.1\r\n${json}`],
  ['the body of a batch', `POST /save,save?batch=1 HTTP/1.1\r\n${json}`],
  ['the body of a stream', `POST /quiet HTTP/1.1\r\n${json}`],
  ['the body of a stream of many', `POST /:stream?sluice=1 HTTP/1.1\r\n${json}`],
])(
  'bytes that are no UTF-8 as %s are refused, counted, and end nothing but their request',
  async (_, head) => {
    await using app = await start()
    using tcp = await RawTcp.open(app.port)
    tcp.write(`${head}\r\nHost: localhost\r\n\r\n`)
    if (head.startsWith('POST')) tcp.write(noUtf8)
    await eventually(() => /^HTTP\/1.1 [45]|serialized-error/.test(tcp.received.toString('latin1')))
    expect(app.refusals()).toEqual({ MESSAGE_INVALID: 1 })
    await app.calm()
  },
)

const noUrl = '{"json":"x","meta":{"values":["URL"]}}'
const noBigint = '{"json":"x","meta":{"values":["bigint"]}}'

test.each([
  ['a call', 'save', noUrl],
  ['a batch', 'save,save?batch=1', `{"0":${noBigint},"1":{"json":1}}`],
  ['a stream', 'quiet', noUrl],
])('input that the transformer does not take, of %s, is counted once', async (_, path, body) => {
  await using app = await start({ router: createRouter({ transformer: superjson }) })
  const answers = [
    await overStream(`${app.url}/${path}`, { ...post, body }),
    await throughFetch(app, path, body),
  ]
  for (const answer of answers) expect(answer).toMatch(/BAD_REQUEST|connected/)
  await eventually(() => app.refusals().MESSAGE_INVALID === 2)
  await app.calm()
  expect(app.refusals()).toEqual({ MESSAGE_INVALID: 2 })
})

test('a call that fails by itself is no refusal', async () => {
  const t = initTRPC.create()
  const fails = t.procedure.input(z.number()).query(() => JSON.parse('{') as unknown)
  const { numbers, quiet } = createRouter()._def.record
  await using app = await start({ router: t.router({ fails, numbers, quiet }) })
  expect((await fetch(`${app.url}/fails?input=1`)).status).toBe(500)
  expect((await fetch(`${app.url}/fails?input=%22x%22`)).status).toBe(400)
  expect(app.refusals()).toEqual({})
})
