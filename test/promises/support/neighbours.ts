/**
 * A server for strangers to harm, and neighbours on it to whom all that is due must come: one over WebSocket, one over SSE,
 * and where harm comes over HTTP/2, one on the very connection of the stranger and one on another.
 */
import { once } from 'node:events'
import { initTRPC, type TRPCDataTransformer } from '@trpc/server'
import { z } from 'zod'
import { expect } from 'vitest'
import { byteStream, serve, type SluiceOptions } from 'trpc-sluice/server'
import { fromReadableStream } from 'trpc-sluice/shared'
import { eventually } from '../../kit/deadline.ts'
import { Scope } from '../../../shared/scope.ts'
import { RawResponse } from '../../interop/support/raw-http.ts'
import { RawWebSocket } from '../../interop/support/raw-websocket.ts'
import { startHttp2Front } from './http2.ts'

/** How many generators of `quiet` have begun, and have come to their `finally`. */
export const createTally = () => ({ begun: 0, ended: 0 })

interface RouterConfig {
  readonly transformer?: TRPCDataTransformer
  readonly tally?: ReturnType<typeof createTally>
}

export function createRouter({ tally = createTally(), ...config }: RouterConfig = {}) {
  const t = initTRPC.context<{ params: unknown }>().create({ isDev: false, ...config })
  return t.router({
    numbers: t.procedure.subscription(async function* ({ signal }) {
      for (let i = 1; !signal?.aborted; i++) {
        yield i
        await new Promise(resolve => setTimeout(resolve, 2))
      }
    }),
    quiet: t.procedure.input(z.unknown()).subscription(async function* ({ signal }) {
      tally.begun += 1
      try {
        if (signal && !signal.aborted) await once(signal, 'abort')
        yield* []
      } finally {
        tally.ended += 1
      }
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

const numbersIn = (text: string) =>
  [...text.matchAll(/^data: (?:{"json":)?(\d+)}?$/gm)].map(([, number]) => number)

/** A server, with two who behave and to whom all that is due must come. */
export async function startWithNeighbours(options: Options = {}) {
  const served = await serve({
    router,
    port: 0,
    host: '127.0.0.1',
    createContext: ({ info }) => ({ params: info.connectionParams }),
    ...options,
  })
  const { url, port, sluice, server } = served
  const scope = new Scope()
  scope.use(served)
  const socket = await RawWebSocket.open(url)
  socket.subscribe('neighbour', 'numbers', { json: null }) // which superjson wants, and JSON lets pass
  const response = await RawResponse.open(`${url}/numbers`)

  const overSocket = () => socket.frames.flatMap(frame => /"data":(?:{"json":)?(\d+)/.exec(frame)?.[1] ?? [])
  /** What each has seen. */
  const neighbours = [overSocket, () => numbersIn(response.text)]
  const numbers = () => neighbours.map(see => see())
  return {
    url,
    port,
    sluice,
    server,
    refusals: () => sluice.stats().refusals,
    /** Only the neighbours are left. */
    calm: () =>
      eventually(() => sluice.stats().subscriptions === neighbours.length, {
        what: 'the others to have left',
      }),
    /** The same application by HTTP/2, with two more neighbours. */
    async http2({ secure = false } = {}) {
      const front = scope.use(await startHttp2Front(sluice, secure))
      neighbours.push(...front.neighbours.map(text => () => numbersIn(text())))
      return front
    },
    async [Symbol.asyncDispose]() {
      const before = numbers().map(({ length }) => length)
      try {
        await eventually(() => numbers().every(({ length }, index) => length > (before[index] ?? 0) + 3))
        for (const seen of numbers()) expect(seen).toEqual(seen.map((_, index) => String(index + 1)))
      } finally {
        await scope.close()
      }
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
