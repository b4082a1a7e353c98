/** A message or a request → a procedure of the router → its result. Knows nothing of where the call came from. */
import { callTRPCProcedure } from '@trpc/server'
import type { AnyTRPCProcedure, AnyTRPCRouter } from '@trpc/server'
import type { OperationKind } from '../../shared/protocol/messages.ts'
import { chainOf, runChain } from './chain.ts'

/** What tRPC's procedures are called with. */
export interface ProcedureCall {
  readonly path: string
  readonly type: OperationKind
  readonly ctx: unknown
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal
  readonly batchIndex: number
  /** The input as it came over the wire, after the transformer. May throw: the procedure then fails with it. */
  getRawInput(): Promise<unknown>
}

/**
 * Calls a procedure through its middleware and parsers.
 *
 * @throws TRPCError `NOT_FOUND` when there is none of that type at the path, and whatever the procedure throws.
 */
export function callProcedure(router: AnyTRPCRouter, call: ProcedureCall): Promise<unknown> {
  const procedure = loadedProcedure(router, call.path)
  const chain = procedure?._def.type === call.type ? chainOf(procedure) : null
  return chain ? runChain(chain, call) : callTRPCProcedure({ router, ...call })
}

function loadedProcedure({ _def }: AnyTRPCRouter, path: string): AnyTRPCProcedure | null {
  return Object.hasOwn(_def.procedures, path) ? (_def.procedures[path] as AnyTRPCProcedure) : null
}

/** Where a client that comes back says where it was: tRPC puts it into the input, beside what is there. */
export function withLastEventId(input: unknown, lastEventId: string | null | undefined): unknown {
  if (lastEventId === null || lastEventId === undefined) return input
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) return { ...input, lastEventId }
  return input ?? { lastEventId }
}

/**
 * The procedure at a path, loading lazy routers on the way; null if there is none. tRPC has this function, but
 * exports it from no stable entry.
 *
 * @throws whatever the import of a lazy router throws.
 */
export async function findProcedure(router: AnyTRPCRouter, path: string): Promise<AnyTRPCProcedure | null> {
  const { lazy } = router._def
  for (;;) {
    const loaded = loadedProcedure(router, path)
    if (loaded) return loaded
    const key = Object.keys(lazy).find(key => path === key || path.startsWith(`${key}.`))
    const loader = key === undefined ? undefined : lazy[key]
    if (!loader) return null
    await loader.load() // moves its procedures into the record, and itself out of `lazy`
  }
}
