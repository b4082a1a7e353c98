/** What an application may say of who may what, and what must not compile. Checked by `tsc`, never run. */
import { initTRPC } from '@trpc/server'
import { createSluice } from 'trpc-sluice/server'

const t = initTRPC.context<{ user?: { rooms: Set<unknown> } }>().create()
const router = t.router({})
const createContext = () => ({})

createSluice({
  router,
  createContext,
  auth: { authorize: ({ ctx, input }) => ctx.user?.rooms.has(input) ?? false },
})
createSluice({
  router,
  createContext,
  auth: { authorize: async ({ ctx, input }) => ctx.user?.rooms.has(input) === true },
})
createSluice({
  router,
  createContext,
  // @ts-expect-error nobody has said so
  auth: { authorize: ({ ctx, input }) => ctx.user?.rooms.has(input) },
})
createSluice({
  router,
  createContext,
  // @ts-expect-error nor here
  auth: { authorize: async ({ ctx, input }) => ctx.user?.rooms.has(input) },
})
createSluice({
  router,
  createContext,
  // @ts-expect-error to have thrown nothing is no permission
  auth: { authorize() {} },
})
