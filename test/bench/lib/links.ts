/** Clients of the tRPC servers under measurement, by one link each. */
import { createTRPCClient, createWSClient, httpSubscriptionLink, wsLink } from '@trpc/client'
import type { TRPCClient, TRPCLink } from '@trpc/client'
import { EventSource } from 'eventsource'
import superjson from 'superjson'
import { sluiceLink } from 'trpc-sluice/client'
import { WebSocket } from 'ws'
import type { LinkName } from './client-messages.ts'
import type { createRouter } from './trpc.ts'

type Router = ReturnType<typeof createRouter>
export type RealLink = Exclude<LinkName, 'ws'>

const transformer = superjson
export const toUrl = (scheme: string, port: number) => `${scheme}://127.0.0.1:${port}`

const links = {
  wsLink: port =>
    wsLink({ client: createWSClient({ url: toUrl('ws', port), WebSocket: globalWebSocket }), transformer }),
  httpSubscriptionLink: port => httpSubscriptionLink({ url: toUrl('http', port), EventSource, transformer }),
  'sluiceLink, websocket': port =>
    sluiceLink({ url: toUrl('http', port), transport: 'websocket', WebSocket, transformer }),
  // As wsLink does with its first attempt.
  'sluiceLink, websocket, at once': port =>
    sluiceLink({
      url: toUrl('http', port),
      transport: 'websocket',
      WebSocket,
      transformer,
      retryDelayMs: () => 0,
    }),
  'sluiceLink, sse': port => sluiceLink({ url: toUrl('http', port), transport: 'sse', transformer }),
} satisfies Record<RealLink, (port: number) => TRPCLink<Router>>

// tRPC asks for the whole of a browser's WebSocket, of which it uses what `ws` has too.
const globalWebSocket = WebSocket as unknown as typeof globalThis.WebSocket

export function createClient(name: RealLink, port: number): TRPCClient<Router> {
  return createTRPCClient<Router>({ links: [links[name](port)] })
}
