import type { TRPCClientError } from '@trpc/client'
import type { AnyRouter } from '@trpc/server'
import { expect, test } from 'vitest'
import { sendOverHttp } from '../../../client/http-requests.ts'
import { resolveOptions } from '../../../client/options.ts'

interface Sent {
  readonly url: URL
  readonly init: RequestInit
}

/** A link whose server answers each procedure of a request with what `answer` makes of its path. */
function create(answer: (path: string) => unknown = path => ({ result: { data: `of ${path}` } })) {
  const sent: Sent[] = []
  const options = resolveOptions({
    url: 'http://a/trpc',
    connectionParams: { token: 't' },
    headers: ({ opList }) => ({ 'x-paths': opList.map(({ path }) => path).join(' ') }),
    fetch: (address, init = {}) => {
      const url = new URL(String(address))
      sent.push({ url, init })
      init.signal?.throwIfAborted()
      const answers = url.pathname.replace('/trpc/', '').split(',').map(answer)
      return Promise.resolve(Response.json(url.searchParams.has('batch') ? answers : answers[0]))
    },
  })
  const ask = (type: 'query' | 'mutation', path: string, input?: unknown, context = {}) => {
    const withdrawn = new AbortController()
    const answered = new Promise<unknown>((next, error) => {
      const observer = { next, error, complete: () => {} }
      sendOverHttp(options, { id: 1, type, path, input, context, signal: null }, observer, withdrawn.signal)
    })
    return { answered, withdraw: () => withdrawn.abort() }
  }
  return { sent, ask }
}

test('queries of one turn go in one request, mutations in another, as tRPC sends them', async () => {
  const { sent, ask } = create()
  const asked = [ask('query', 'a', { n: 1 }), ask('mutation', 'm', 5), ask('query', 'b')]
  const results = await Promise.all(asked.map(({ answered }) => answered))
  expect(results).toMatchObject([
    { result: { type: 'data', data: 'of a' }, context: { responseJSON: [{}, {}], response: {} } },
    { result: { data: 'of m' } },
    { result: { data: 'of b' } },
  ])
  const [queries, mutation] = sent
  expect(queries?.url.pathname).toBe('/trpc/a,b')
  expect([...(queries?.url.searchParams ?? [])]).toEqual([
    ['connectionParams', '{"token":"t"}'],
    ['batch', '1'],
    ['input', '{"0":{"n":1}}'],
  ])
  expect(queries?.init).toMatchObject({ method: 'GET', headers: { 'x-paths': 'a b' } })
  expect(mutation?.init).toMatchObject({
    method: 'POST',
    body: '{"0":5}',
    headers: { 'content-type': 'application/json', 'x-paths': 'm' },
  })
})

test('an error is that of its own request, with the response that brought it', async () => {
  const error = { code: -32603, message: 'no', data: { code: 'INTERNAL_SERVER_ERROR' } }
  const { ask } = create(path => (path === 'bad' ? { error } : { result: { data: 1 } }))
  const [good, bad] = [ask('query', 'good'), ask('query', 'bad')]
  await expect(good.answered).resolves.toMatchObject({ result: { data: 1 } })
  const thrown = (await bad.answered.catch((thrown: unknown) => thrown)) as TRPCClientError<AnyRouter>
  expect([thrown.message, thrown.shape, thrown.data]).toEqual(['no', error, error.data])
  expect(thrown.meta?.['response']).toBeInstanceOf(Response)
})

test('an answer that is none is an error', async () => {
  const { ask } = create(() => 'nonsense')
  await expect(ask('query', 'a').answered).rejects.toThrow('Unable to transform response from server')
})

test('what makes an address too long is split, and refused where it cannot be', async () => {
  const { sent, ask } = create()
  const long = 'x'.repeat(5_000)
  const asked = [ask('query', 'a', long), ask('query', 'b', long), ask('query', 'c', long + long)]
  await Promise.all(asked.slice(0, 2).map(({ answered }) => answered))
  expect(sent.map(({ url }) => url.pathname)).toEqual(['/trpc/a', '/trpc/b'])
  await expect(asked[2]?.answered).rejects.toMatchObject({ cause: { code: 'PAYLOAD_TOO_LARGE' } })
})

test('what is withdrawn before the end of the turn is not sent, and later ends the request with the last', async () => {
  const { sent, ask } = create()
  const [early, one, other] = [ask('query', 'early'), ask('query', 'one'), ask('query', 'other')]
  early.withdraw()
  await one.answered
  expect(sent.map(({ url }) => url.pathname)).toEqual(['/trpc/one,other'])
  const signal = sent[0]?.init.signal
  one.withdraw()
  expect(signal?.aborted).toBe(false)
  other.withdraw()
  expect(signal?.aborted).toBe(true)
})

test('a key, and what is no JSON, go in requests of their own', async () => {
  const { sent, ask } = create()
  const form = new FormData()
  const asked = [
    ask('mutation', 'keyed', 1, { idempotencyKey: 'k' }),
    ask('mutation', 'bytes', new Uint8Array(2)),
    ask('mutation', 'form', form),
  ]
  await Promise.all(asked.map(({ answered }) => answered))
  expect(sent.map(({ url, init }) => [url.pathname, init.headers])).toEqual([
    ['/trpc/keyed', { 'content-type': 'application/json', 'idempotency-key': 'k', 'x-paths': 'keyed' }],
    ['/trpc/bytes', { 'content-type': 'application/octet-stream', 'x-paths': 'bytes' }],
    ['/trpc/form', { 'x-paths': 'form' }],
  ])
  expect(sent[2]?.init.body).toBe(form)
  await expect(ask('query', 'bytes', new Uint8Array(2)).answered).rejects.toThrow('a mutation only')
})
