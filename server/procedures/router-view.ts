import type { AnyTRPCRouter } from '@trpc/server'

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
