/** Through a real nginx, with its own buffers and time limits: works, falls back, and polls. */
import { createTRPCClient } from '@trpc/client'
import { memoryStore, serve } from 'trpc-sluice/server'
import { sluiceLink } from 'trpc-sluice/client'
import { createRecorder, eventually } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { startNginx } from './nginx/nginx.ts'
import { createApp, type AppRouter } from './stream/app.ts'

/** As nginx's own page on WebSockets has it. */
const passUpgrades = [
  'proxy_http_version 1.1;',
  'proxy_set_header Upgrade $http_upgrade;',
  'proxy_set_header Connection "upgrade";',
]
/** By HTTP/1.0, as is its default: what comes in chunks it passes on at once, buffers or not. */
const holdBack = [
  'proxy_buffering on;',
  'proxy_buffer_size 64k;',
  'proxy_buffers 16 64k;',
  'proxy_ignore_headers X-Accel-Buffering;',
]

test.each([
  {
    what: 'one that passes upgrades on',
    directives: passUpgrades,
    wish: 'auto',
    by: 'websocket',
    polls: false,
  },
  { what: 'one as it is, which refuses upgrades', directives: [], wish: 'auto', by: 'stream', polls: false },
  { what: 'one as it is', directives: [], wish: 'sse', by: 'sse', polls: false },
  { what: 'one that holds responses back', directives: holdBack, wish: 'auto', by: 'stream', polls: true },
] as const)(
  'through $what, all events arrive once and in order by $by',
  async given => {
    const { directives, wish, by, polls } = given
    const { router, rooms } = createApp(memoryStore())
    await using server = await serve({ router, port: 0, host: '127.0.0.1' })
    await using nginx = await startNginx(server.port, directives)
    let polled = 0
    const link = sluiceLink<AppRouter>({
      fetch(input, init) {
        if (String(init?.body).includes('"holdMs"')) polled += 1
        return fetch(input, init)
      },
      url: nginx.url,
      transport: wish,
      WebSocket,
      backoff: { baseMs: 5, maxMs: 40 },
      connectTimeoutMs: 1_000,
    })
    using _end = { [Symbol.dispose]: () => link.close() }
    const client = createTRPCClient<AppRouter>({ links: [link] })
    const explain = () => JSON.stringify(link.connection.get())
    const seen = createRecorder<{ data: { n: number } }>({ numberOf: ({ data }) => data.n, explain })
    client.onRoom.subscribe(
      { room: 'a' },
      { onData: item => 'id' in item && seen.push(item), onError: error => seen.end(error) },
    )
    const count = 30
    for (let n = 1; n <= count; n++) {
      await rooms.publish('a', { n })
      // Each by itself: an event does not have to wait for the next one to get through.
      if (n % 10 === 0) await seen.until(n, { withinMs: 30_000 })
    }
    expect(seen.report(count)).toEqual({ delivered: count, missing: [], repeated: [], outOfOrder: [] })
    await eventually(() => link.connection.get().at === 'ready')
    expect(link.connection.get()).toMatchObject({ transport: by })
    expect(polled > 0).toBe(polls)
    expect(await client.hello.query()).toBe('hello')
  },
  120_000,
)
