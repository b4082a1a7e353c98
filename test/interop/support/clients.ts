/** Stock tRPC clients, of whichever version is handed in, against a server of ours. */
import type * as TrpcClient from '@trpc/client'
import { EventSource } from 'eventsource'
import { WebSocket } from 'ws'

/** What the tests use of `@trpc/client`; the newest version has all of it too. */
export type ClientLibrary = Pick<
  typeof TrpcClient,
  | 'createTRPCUntypedClient'
  | 'createWSClient'
  | 'httpBatchLink'
  | 'httpBatchStreamLink'
  | 'httpLink'
  | 'httpSubscriptionLink'
  | 'wsLink'
>

/** Pinned: what package.json says. Newest: from its own folder, installed by `npm test`. */
export async function loadClients(): Promise<readonly { version: string; library: ClientLibrary }[]> {
  const newest = new URL('../newest/node_modules/@trpc/client/dist/index.mjs', import.meta.url)
  return [
    { version: 'pinned', library: await import('@trpc/client') },
    { version: 'newest', library: (await import(/* @vite-ignore */ newest.href)) as ClientLibrary },
  ]
}

export { EventSource, WebSocket }
