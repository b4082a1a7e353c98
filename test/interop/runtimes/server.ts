/**
 * A program for runtimes other than Node: serves a router through `sluice.fetch`, by the built package. Says its port,
 * and runs until it is killed.
 */
import { initTRPC, tracked } from '@trpc/server'
import { byteStream, createSluice, createTopic, resumable } from 'trpc-sluice/server'
import { fromReadableStream } from 'trpc-sluice/shared'
import { z } from 'zod'

type Handler = (request: Request) => Promise<Response>

declare const Bun: { serve(options: { port: number; idleTimeout: number; fetch: Handler }): { port: number } }
declare const Deno: { serve(options: { port: number }, handler: Handler): { addr: { port: number } } }

const state = { yielded: 0, ended: 0, uploaded: 0, aborted: 0 }
const log = createTopic({ name: 'log', event: z.object({ n: z.number() }) })
let openGate = () => {}
const gate = new Promise<void>(resolve => (openGate = resolve))

const t = initTRPC.create()
const router = t.router({
  hello: t.procedure.input(z.string()).query(({ input }) => `hello ${input}`),
  publish: t.procedure.input(z.number()).mutation(({ input }) => log.publish('all', { n: input })),
  onLog: t.procedure
    .input(resumable({}))
    .subscription(({ input, signal }) => log.subscribe('all', { after: input.lastEventId, signal })),
  flood: t.procedure.subscription(async function* () {
    try {
      for (;;) yield tracked(String(++state.yielded), 'x'.repeat(1_000))
    } finally {
      state.ended += 1
    }
  }),
  upload: t.procedure.input(byteStream()).mutation(async ({ input }) => {
    try {
      for await (const chunk of fromReadableStream(input)) {
        state.uploaded += chunk.byteLength
        await gate
      }
    } catch (thrown) {
      state.aborted += 1
      throw thrown
    }
    return state.uploaded
  }),
  openGate: t.procedure.mutation(() => openGate()),
  state: t.procedure.query(() => state),
})

export type Router = typeof router

const { fetch } = createSluice({ router, basePath: '/trpc', limits: { maxStreamBytes: 1e9 } })
// Bun ends a response that is quiet for 10 s, unless it is told not to.
const port =
  typeof Bun === 'undefined'
    ? Deno.serve({ port: 0 }, fetch).addr.port
    : Bun.serve({ port: 0, idleTimeout: 0, fetch }).port
console.log(`listening on ${port}`)
