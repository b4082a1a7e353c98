/** The page's one way to the server: a link, a client on it, and the hooks. */
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { createTRPCReact } from '@trpc/react-query'
import type { ReactNode } from 'react'
import superjson from 'superjson'
import { sluiceLink } from 'trpc-sluice/client'
import { createOutbox, indexedDbOutboxStorage } from 'trpc-sluice/outbox'
import { SluiceProvider } from 'trpc-sluice/react'
import type { AppRouter } from '../server/router.ts'

export const trpc = createTRPCReact<AppRouter>()

/** What is said while there is no connection, or while the page is reloaded, is sent when there is one. */
export const outbox = createOutbox({
  storage: indexedDbOutboxStorage('sluice-showcase'),
  accepts: ({ path }) => path === 'chat.send',
})

const link = sluiceLink<AppRouter>({
  url: '/trpc',
  transformer: superjson,
  outbox,
  // One server with a handful of pages: nobody is helped by a longer wait.
  backoff: { maxMs: 3_000 },
})

/** For `useStream`, and for whatever happens outside of a component. */
export const client = trpc.createClient({ links: [link] })

// What the page asks for does not go stale: changes arrive by subscription. And it is the link that knows whether
// the server can be reached, not `navigator.onLine`.
const queryClient = new QueryClient({
  defaultOptions: {
    queries: { staleTime: Infinity, refetchOnWindowFocus: false, networkMode: 'always' },
    mutations: { networkMode: 'always' },
  },
})

export function ApiProvider({ children }: { readonly children: ReactNode }) {
  return (
    <trpc.Provider client={client} queryClient={queryClient}>
      <QueryClientProvider client={queryClient}>
        <SluiceProvider link={link}>{children}</SluiceProvider>
      </QueryClientProvider>
    </trpc.Provider>
  )
}
