import { TRPCError } from '@trpc/server'
import type { AnyTRPCProcedure, AnyTRPCRouter } from '@trpc/server'

type Config = AnyTRPCRouter['_def']['_config']

/** A view of the router: the same procedures, lazy ones included, under a configuration that differs in part. */
export function withConfig(
  router: AnyTRPCRouter,
  changes: Partial<Pick<Config, 'errorFormatter' | 'transformer'>>,
): AnyTRPCRouter {
  // The types are the router's own: functions of its configuration are wrapped, and nothing is added.
  return {
    ...router,
    _def: { ...router._def, _config: { ...router._def._config, ...changes } },
  } as AnyTRPCRouter
}

/** A view of the router with something around its procedures. */
export function withProcedures(
  router: AnyTRPCRouter,
  wrap: (procedure: AnyTRPCProcedure) => AnyTRPCProcedure,
): AnyTRPCRouter {
  // Lazy routers put theirs into this record when they are loaded.
  const procedures = new Proxy(router._def.procedures as Record<string, AnyTRPCProcedure>, {
    get: (all, path) => {
      const procedure = typeof path === 'string' && Object.hasOwn(all, path) ? all[path] : undefined
      return procedure && wrap(procedure)
    },
  })
  // The types are the router's own: its procedures are wrapped, and none is added.
  return { ...router, _def: { ...router._def, procedures } } as AnyTRPCRouter
}

/**
 * A view for tRPC's own adapters, which answer what is no subscription. One that reaches them all the same, as a form
 * say, has passed by the application's `authorize`, the limits and `once()`: so they cannot run it.
 */
export function withoutSubscriptions(router: AnyTRPCRouter): AnyTRPCRouter {
  return withProcedures(router, procedure => {
    if (procedure._def.type !== 'subscription') return procedure
    const refuse = async ({ path }: { readonly path: string }) => {
      throw new TRPCError({
        code: 'BAD_REQUEST',
        message: `"${path}" is a subscription, and cannot be asked for in this way.`,
      })
    }
    return Object.assign(refuse, procedure)
  })
}
