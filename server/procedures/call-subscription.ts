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
  { desk, contracts, authority }: SubscriptionCallDeps,
  call: ProcedureCall,
  rerun: Rerun,
): Promise<unknown> {
  const checked = contracts.check(call.path, rerun)
  const begin = () => callProcedure(desk.router, call)
  // Most come for the first time, and nobody is to be asked: then nothing is waited for.
  return checked || authority ? admit(checked, authority, call).then(begin) : begin()
}

async function admit(
  checked: Promise<void> | null,
  authority: Authority | null,
  call: ProcedureCall,
): Promise<void> {
  await checked
  const { path, ctx } = call
  if (authority) await authority.admit({ path, ctx, input: await call.getRawInput() })
}
