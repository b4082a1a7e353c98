/** `sluice.fetch` in other runtimes than Node: the built package in Bun and Deno, and its clients here. */
import { createTRPCClient, httpBatchLink, httpSubscriptionLink, splitLink } from '@trpc/client'
import { EventSource } from 'eventsource'
import { iterate, sluiceLink } from 'trpc-sluice/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../kit/deadline.ts'
import { RawResponse } from './support/raw-http.ts'
import { buildPackage, install, runtimes, start } from './runtimes/runtime.ts'
import type { Router } from './runtimes/server.ts'

const programs = await Promise.all(
  runtimes.map(async runtime => ({ runtime, program: await install(runtime) })),
)

let built: Awaited<ReturnType<typeof buildPackage>>
beforeAll(async () => {
  if (programs.some(({ program }) => program !== null)) built = await buildPackage()
})
afterAll(() => built?.remove())

/** Settles when a number has not moved for so long that nothing is on its way any more. */
async function standstill(read: () => Promise<number>): Promise<number> {
  let last = -1
  let looks = 0
  await eventually(async () => {
    const now = await read()
    looks = now === last ? looks + 1 : 0
    last = now
    return looks > 30
  })
  return last
}

describe.each(programs)('in $runtime.name $runtime.version', ({ runtime, program }) => {
  if (program === null) return test.skip('which could not be installed')
  let server: Awaited<ReturnType<typeof start>>
  let client: ReturnType<typeof connect>
  let link: ReturnType<typeof sluiceLink<Router>>

  const connect = (url: string) => {
    link = sluiceLink<Router>({ url, transport: 'sse', backoff: { baseMs: 5 } })
    return createTRPCClient<Router>({ links: [link] })
  }
  beforeAll(async () => {
    server = await start(program, runtime, built.folder)
    client = connect(server.url)
  })
  afterAll(() => {
    link?.close()
    server?.[Symbol.dispose]()
  })

  test('queries and mutations are answered, to our client, a stock one, and plain fetch', async () => {
    const stock = createTRPCClient<Router>({ links: [httpBatchLink({ url: server.url })] })
    expect(await Promise.all([stock.hello.query('a'), stock.hello.query('b')])).toEqual([
      'hello a',
      'hello b',
    ])
    expect(await client.hello.query('c')).toBe('hello c')
    expect(await client.publish.mutate(0)).toHaveProperty('id')
    const response = await fetch(`${server.url}/hello?input=%22d%22`)
    expect(await response.json()).toEqual({ result: { data: 'hello d' } })
  })

  test('a subscription resumes where it was: our client, a stock one, and plain HTTP', async () => {
    const { id } = await client.publish.mutate(1)
    const after = { lastEventId: id }
    await client.publish.mutate(2)
    const mine = iterate(client.onLog, after)
    expect((await mine.next()).value).toMatchObject({ data: { n: 2 } })

    const links = [
      splitLink({
        condition: op => op.type === 'subscription',
        true: httpSubscriptionLink({ url: server.url, EventSource }),
        false: httpBatchLink({ url: server.url }),
      }),
    ]
    const stock = iterate(createTRPCClient<Router>({ links }).onLog, after)
    expect((await stock.next()).value).toMatchObject({ data: { n: 2 } })

    const headers = { 'last-event-id': id }
    await using raw = await RawResponse.open(`${server.url}/onLog?input={}`, { headers })
    await raw.until('data: {"n":2}')
    expect(raw.headers['content-type']).toBe('text/event-stream')

    const published = await client.publish.mutate(3)
    expect((await mine.next()).value).toEqual({ id: published.id, data: { n: 3 } })
    expect((await stock.next()).value).toEqual({ id: published.id, data: { n: 3 } })
    await raw.until(`id: ${published.id}`)
    await mine.return?.()
    await stock.return?.()
  })

  test('a reader who stops holds the generator back, and one who leaves ends it', async () => {
    const before = (await client.state.query()).ended
    await using raw = await RawResponse.open(`${server.url}/flood`)
    await raw.until('id: 1\n')
    raw.pause()
    const held = await standstill(async () => (await client.state.query()).yielded)
    expect(held * 1_000).toBeLessThan(32 * 1024 * 1024)
    raw.resume()
    await raw.until(`id: ${held + 1_000}\n`)
    raw.leave()
    await eventually(async () => (await client.state.query()).ended === before + 1)
  })

  test('a slow procedure holds back who sends to it, and hears of one who leaves', async () => {
    let produced = 0
    const endless = () =>
      new ReadableStream<Uint8Array<ArrayBuffer>>(
        {
          pull(controller) {
            controller.enqueue(new Uint8Array(64 * 1024))
            produced += 64 * 1024
          },
        },
        { highWaterMark: 0 },
      )
    const leaving = new AbortController()
    const answered = client.upload.mutate(endless(), { signal: leaving.signal })
    await eventually(async () => (await client.state.query()).uploaded > 0)
    expect(await standstill(async () => produced)).toBeLessThan(48 * 1024 * 1024)
    leaving.abort()
    await expect(answered).rejects.toThrow('abort')
    await client.openGate.mutate()
    await eventually(async () => (await client.state.query()).aborted === 1)
    const { uploaded } = await client.state.query()
    expect(await client.upload.mutate(new Uint8Array(300_000))).toBe(uploaded + 300_000)
  })
})
