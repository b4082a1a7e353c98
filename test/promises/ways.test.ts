/** However a subscription is asked for over HTTP, the application's own check is asked first. */
import { initTRPC } from '@trpc/server'
import { expect, test } from 'vitest'
import { createSluice, serve, type SluiceOptions } from 'trpc-sluice/server'

const t = initTRPC.create()

function createApp() {
  let ran = 0
  let allowed = false
  const router = t.router({
    onSecret: t.procedure.subscription(() => {
      ran += 1
      return (async function* () {
        yield 'secret'
      })()
    }),
  })
  const options: SluiceOptions<typeof router> = {
    router,
    basePath: '/trpc',
    allowMethodOverride: true,
    auth: { authorize: () => allowed, authorizeEveryMs: Infinity },
  }
  return { options, ran: () => ran, allow: () => (allowed = true) }
}

type Fetch = (path: string, init?: RequestInit) => Promise<Response>

const hosts: Record<
  string,
  (options: ReturnType<typeof createApp>['options']) => Promise<Fetch & AsyncDisposable>
> = {
  async node(options) {
    const served = await serve({ ...options, port: 0, host: '127.0.0.1' })
    const origin = new URL(served.url).origin
    const get: Fetch = (path, init) => fetch(origin + path, init)
    return Object.assign(get, { [Symbol.asyncDispose]: () => served[Symbol.asyncDispose]() })
  },
  async fetch(options) {
    const sluice = createSluice(options)
    const get: Fetch = (path, init) => sluice.fetch(new Request(`http://localhost${path}`, init))
    return Object.assign(get, { [Symbol.asyncDispose]: () => sluice.close() })
  },
}

const form = () => {
  const body = new FormData()
  body.set('a', 'b')
  return body
}

const ways: Record<string, readonly [path: string, init?: RequestInit]> = {
  plainly: ['/trpc/onSecret'],
  'with a type of content that only looks like a form': [
    '/trpc/onSecret',
    { headers: { 'content-type': 'Multipart/Form-Data' } },
  ],
  'with several answers to its liking': [
    '/trpc/onSecret',
    { headers: { 'trpc-accept': 'text/event-stream, application/jsonl' } },
  ],
  'with a slash too many': ['/trpc/onSecret/'],
  'with slashes before it': ['/trpc//onSecret'],
  'in a batch': ['/trpc/onSecret?batch=1'],
  'as a form': ['/trpc/onSecret', { method: 'POST', body: form() }],
  'as bytes': [
    '/trpc/onSecret',
    { method: 'POST', body: new Uint8Array(3), headers: { 'content-type': 'application/octet-stream' } },
  ],
  'beside the base': ['/cprt/onSecret'],
}

for (const [host, start] of Object.entries(hosts)) {
  test.each(Object.entries(ways))(
    `through ${host}, a subscription that is asked for %s does not run unasked`,
    async (_, [path, init]) => {
      const app = createApp()
      await using request = await start(app.options)
      const refused = await request(path, init)
      expect(await refused.text()).not.toContain('secret"')
      expect(app.ran()).toBe(0)
    },
  )

  test(`through ${host}, it runs for who may have it`, async () => {
    const app = createApp()
    app.allow()
    await using request = await start(app.options)
    const answer = await request('/trpc/onSecret')
    expect(await answer.text()).toContain('data: "secret"')
    expect(app.ran()).toBe(1)
  })
}
