/** What stands between a client that asks for a subscription and the procedure: may it run, and may it run again? */
import type { Authority } from './authority.ts'
import { callProcedure, type ProcedureCall } from './call.ts'
import type { ErrorDesk } from './present-error.ts'
import type { Rerun, RetryContracts } from './rerun.ts'

export interface SubscriptionCallDeps {
  readonly desk: ErrorDesk
  readonly contracts: RetryContracts
  /** Null where the application wants nobody to be asked. */
  readonly authority: Authority | null
}

/** Rejects with SluiceError `LOST`, `ACCESS_REVOKED`, and whatever the procedure or the application's own check throws. */
export function callSubscription(
  deps: SubscriptionCallDeps,
  call: ProcedureCall,
  rerun: Omit<Rerun, 'path'>,
): Promise<unknown> {
  // Most come for the first time, and nobody is to be asked: then nothing is waited for.
  const passes = rerun.again || rerun.lastEventId || deps.authority
  return passes ? admitted(deps, call, rerun) : callProcedure(deps.desk.router, call)
}

async function admitted(
  { desk, contracts, authority }: SubscriptionCallDeps,
  call: ProcedureCall,
  rerun: Omit<Rerun, 'path'>,
): Promise<unknown> {
  const { path, ctx } = call
  await contracts.check({ path, ...rerun })
  if (authority) await authority.admit({ path, ctx, input: await call.input() })
  return await callProcedure(desk.router, call)
}
