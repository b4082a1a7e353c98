/**
 * Our server on the newest `@trpc/server` 11.x instead of the pinned one: an application's router, its transformer
 * and our code all take it from test/interop/newest.
 */
import { describe, expect, test, vi } from 'vitest'
import { eventually } from '../kit/deadline.ts'
import { EventSource, loadClients, WebSocket } from './support/clients.ts'

const { newest } = vi.hoisted(() => ({
  // Behind a variable: a clone in which it is not installed yet type-checks as well.
  newest: (file: string): Promise<Record<string, unknown>> =>
    import(
      /* @vite-ignore */ new URL(`./newest/node_modules/@trpc/server/dist/${file}`, import.meta.url).href
    ),
}))
vi.mock('@trpc/server', () => newest('index.mjs'))
vi.mock('@trpc/server/rpc', () => newest('rpc.mjs'))
vi.mock('@trpc/server/http', () => newest('http.mjs'))
vi.mock('@trpc/server/observable', () => newest('observable/index.mjs'))
vi.mock('@trpc/server/adapters/ws', () => newest('adapters/ws.mjs'))
vi.mock('@trpc/server/adapters/fetch', () => newest('adapters/fetch/index.mjs'))
vi.mock('@trpc/server/adapters/node-http', () => newest('adapters/node-http/index.mjs'))

const { initTRPC, tracked, lazy } = await import('@trpc/server')
const { observable } = await import('@trpc/server/observable')
const { serve } = await import('trpc-sluice/server')
const [, client] = await loadClients()

async function start(config: object) {
  const t = initTRPC.create({ isDev: false, ...config })
  const posts = t.router({
    byId: t.procedure.query(() => 'a post'),
    onNew: t.procedure.subscription(async function* () {
      yield tracked('1', 'first')
      yield tracked('2', 'second')
    }),
    observed: t.procedure.subscription(() =>
      observable<number>(emit => {
        emit.next(1)
        emit.complete()
      }),
    ),
  })
  return serve({ router: t.router({ posts, late: lazy(async () => posts) }), port: 0, host: '127.0.0.1' })
}

describe('on the newest @trpc/server', () => {
  test.each([undefined, '~', '_', '-'])(
    "with path separator %s, tRPC's newest client finds its way",
    async separator => {
      const pathSeparator = separator === undefined ? {} : { pathSeparator: separator }
      const app = await start(pathSeparator)
      const library = client?.library
      if (!library) throw new Error('loadClients gives two')
      const socket = library.createWSClient({
        url: app.url.replace('http', 'ws'),
        WebSocket: WebSocket as never,
      })
      const options = { url: app.url, EventSource, ...pathSeparator } as never
      const http = library.createTRPCUntypedClient({ links: [library.httpLink(options)] })
      const batched = library.createTRPCUntypedClient({ links: [library.httpBatchLink(options)] })
      const sse = library.createTRPCUntypedClient({ links: [library.httpSubscriptionLink(options)] })
      const ws = library.createTRPCUntypedClient({ links: [library.wsLink({ client: socket })] })

      for (const client of [http, batched, ws]) {
        expect(await client.query('posts.byId')).toBe('a post')
        expect(await client.query('late.byId')).toBe('a post')
      }
      for (const client of [sse, ws]) {
        for (const [path, events] of [
          [
            'posts.onNew',
            [
              { id: '1', data: 'first' },
              { id: '2', data: 'second' },
            ],
          ],
          ['late.observed', [1]],
        ] as const) {
          const told: unknown[] = []
          client.subscription(path, undefined, {
            onData: data => told.push(data),
            onError: error => told.push(error.message),
            onComplete: () => told.push('complete'),
          })
          await eventually(() => told.includes('complete'))
          expect(told).toEqual([...events, 'complete'])
        }
      }
      await socket.close()
      await app.close()
    },
  )
})
