/** What the three tRPC servers have in common: the router, and how one subscribes to it. */
import { initTRPC } from '@trpc/server'
import superjson from 'superjson'
import { z } from 'zod'
import type { Ask, Carrier, Opening } from './peer.ts'
import { httpRequest, webSocketRequest } from './requests.ts'
import { flood, tokens } from './sources.ts'

interface EventsOptions {
  readonly after: string | undefined
  readonly signal: AbortSignal | undefined
}

const t = initTRPC.create({ transformer: superjson })

/** @param events what differs: where the published events come from. */
export function createRouter(events: (options: EventsOptions) => AsyncIterable<unknown>) {
  return t.router({
    events: t.procedure
      .input(z.object({ lastEventId: z.string().optional() }))
      .subscription(({ input, signal }) => events({ after: input.lastEventId, signal })),
    flood: t.procedure
      .input(z.object({ events: z.number(), bytes: z.number().optional() }))
      .subscription(({ input, signal }) => flood(input, signal)),
    tokens: t.procedure.input(z.object({})).subscription(() => tokens()),
  })
}

/** @param root where WebSockets are opened, where that is not the root. */
export const trpcOpening = (carrier: Carrier, ask: Ask, deflated: boolean, root = '/'): Opening => {
  const { for: path, ...rest } = ask
  const json = ask.for === 'events' ? { lastEventId: ask.after } : rest
  if (carrier === 'sse') {
    const input = encodeURIComponent(JSON.stringify({ json }))
    return { request: { say: httpRequest(`/${path}?input=${input}`), hear: 'event: connected' } }
  }
  const params = JSON.stringify({ path, input: { json } })
  return {
    deflated,
    request: webSocketRequest(root, deflated ? { 'Sec-WebSocket-Extensions': 'permessage-deflate' } : {}),
    subscribe: {
      say: `{"id":{id},"method":"subscription","params":${params}}`,
      hear: '"id":{id},"result":{"type":"started"',
    },
    unsubscribe: {
      say: '{"id":{id},"method":"subscription.stop"}',
      hear: '"id":{id},"result":{"type":"stopped"',
    },
  }
}
