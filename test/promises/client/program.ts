/** A small program with our client, for process.test.ts to start: asks once, or follows the log until event 2. */
import { createTRPCClient } from '@trpc/client'
import superjson from 'superjson'
import { WebSocket } from 'ws'
import { iterate } from '../../../client/subscriptions/iterate.ts'
import { sluiceLink } from '../../../client/link.ts'
import type { Router } from './server.ts'

const [what, url = '', transport] = process.argv.slice(2)
const link = sluiceLink<Router>({
  url,
  transformer: superjson,
  transport: transport as 'websocket' | 'sse',
  WebSocket,
  backoff: { baseMs: 20, maxMs: 100 },
})
const client = createTRPCClient<Router>({ links: [link] })

if (what === 'query') console.log('answer', await client.echo.query(5))
else {
  for await (const { data } of iterate(client.onLog, {})) {
    console.log('event', data.n)
    if (data.n === 2) break
  }
}
