/** A server for strangers to harm, and two neighbours on it, one over each carrier, to whom all that is due must come. */
import { initTRPC, type TRPCDataTransformer } from '@trpc/server'
import { z } from 'zod'
import { expect } from 'vitest'
import { byteStream, serve, type SluiceOptions } from 'trpc-sluice/server'
import { fromReadableStream } from 'trpc-sluice/shared'
import { eventually } from '../../kit/deadline.ts'
import { RawResponse } from '../../interop/support/raw-http.ts'
import { RawWebSocket } from '../../interop/support/raw-websocket.ts'

export function createRouter(config: { transformer?: TRPCDataTransformer } = {}) {
  const t = initTRPC.context<{ params: unknown }>().create({ isDev: false, ...config })
  return t.router({
    numbers: t.procedure.subscription(async function* ({ signal }) {
      for (let i = 1; !signal?.aborted; i++) {
        yield i
        await new Promise(resolve => setTimeout(resolve, 2))
      }
    }),
    quiet: t.procedure.input(z.unknown()).subscription(async function* ({ signal }) {
      await new Promise<void>(resolve => signal?.addEventListener('abort', () => resolve(), { once: true }))
      yield* []
    }),
    each: t.procedure.input(z.array(z.unknown())).subscription(async function* ({ input }) {
      yield* input
    }),
    echo: t.procedure.input(z.unknown()).query(({ input }) => input),
    save: t.procedure.input(z.unknown()).mutation(({ input }) => input),
    upload: t.procedure.input(byteStream()).mutation(async ({ input }) => {
      let bytes = 0
      for await (const chunk of fromReadableStream(input)) bytes += chunk.byteLength
      return bytes
    }),
    params: t.procedure.query(({ ctx }) => ctx.params),
  })
}

export const router = createRouter()
type Options = Partial<SluiceOptions<typeof router>>

/** A server, with two who behave and to whom all that is due must come. */
export async function startWithNeighbours(options: Options = {}) {
  const served = await serve({
    router,
    port: 0,
    host: '127.0.0.1',
    createContext: ({ info }) => ({ params: info.connectionParams }),
    ...options,
  })
  const { url, port, sluice } = served
  const socket = await RawWebSocket.open(url)
  socket.subscribe('neighbour', 'numbers', { json: null }) // which superjson wants, and JSON lets pass
  const response = await RawResponse.open(`${url}/numbers`)

  const overSocket = () => socket.frames.flatMap(frame => /"data":(?:{"json":)?(\d+)/.exec(frame)?.[1] ?? [])
  const overSse = () =>
    [...response.text.matchAll(/^data: (?:{"json":)?(\d+)}?$/gm)].map(([, number]) => number)
  const numbers = () => [overSocket(), overSse()]
  const refusals = () => sluice.stats().refusals
  return {
    url,
    port,
    sluice,
    refusals,
    /** Only the neighbours are left. */
    calm: () => eventually(() => sluice.stats().subscriptions === 2, { what: 'the others to have left' }),
    async [Symbol.asyncDispose]() {
      const before = numbers().map(({ length }) => length)
      await eventually(() => numbers().every(({ length }, index) => length > (before[index] ?? 0) + 3))
      for (const seen of numbers()) expect(seen).toEqual(seen.map((_, index) => String(index + 1)))
      await served.close()
    },
  }
}

export const query = (id: number, input?: unknown, path = 'echo') => ({
  id,
  method: 'query',
  params: { path, input },
})
export const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
export const deepQuery = (levels: number) => JSON.stringify(query(1, 'here')).replace('"here"', deep(levels))
export const keys = (count: number) => `{${Array.from({ length: count }, (_, i) => `"${i}":0`).join(',')}}`
export const post = { method: 'POST', headers: { 'content-type': 'application/json' } }
