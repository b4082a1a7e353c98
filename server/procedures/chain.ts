/**
 * A procedure's middlewares, parsers and resolver, run one inside the other. tRPC does this too, and copies what each
 * hands to the next twice, property by property: 7 of the 30 µs of JavaScript of a short subscription (tRPC 11.19,
 * Node 20). What each of them sees, and what becomes of what it says, is what it is where tRPC's own procedure is called
 * with the same: test/unit/server/chain.property.test.ts compares them, for the newest tRPC, too.
 */
import { getTRPCErrorFromUnknown, initTRPC, TRPCError } from '@trpc/server'
import type { AnyTRPCProcedure } from '@trpc/server'
import type { ProcedureCall } from './call.ts'

/** A procedure's parts in their order; the resolver is the last. */
export interface Chain {
  readonly middlewares: readonly Middleware[]
  readonly meta: unknown
}

type Middleware = (options: MiddlewareOptions) => Promise<Result | undefined>

interface MiddlewareOptions extends ProcedureCall {
  readonly meta: unknown
  readonly input: unknown
  next(said?: Said): Promise<Result | undefined>
}

/** What a middleware has for those behind it. */
interface Said {
  readonly ctx?: object | undefined
  readonly input?: unknown
  readonly getRawInput?: ProcedureCall['getRawInput'] | undefined
}

type Result =
  | { readonly ok: true; readonly data: unknown }
  | { readonly ok: false; readonly error: TRPCError; readonly marker: string }

/** Null where a call may be something else than its chain: then the procedure itself is to be called. */
export function chainOf(procedure: AnyTRPCProcedure): Chain | null {
  const known = chains.get(procedure)
  if (known !== undefined) return known
  const chain = findChain(procedure)
  chains.set(procedure, chain)
  return chain
}

const chains = new WeakMap<AnyTRPCProcedure, Chain | null>()

/** Rejects with the TRPCError that a middleware, a parser or the resolver failed with. */
export async function runChain(chain: Chain, call: ProcedureCall): Promise<unknown> {
  const result = await runFrom(0, chain, call, undefined)
  if (!result) {
    throw new TRPCError({
      code: 'INTERNAL_SERVER_ERROR',
      message: 'No result from middlewares - did you forget to `return next()`?',
    })
  }
  if (!result.ok) throw result.error
  return result.data
}

async function runFrom(
  index: number,
  chain: Chain,
  call: ProcedureCall,
  input: unknown,
): Promise<Result | undefined> {
  const { path, type, ctx, signal, batchIndex, getRawInput } = call
  const { middlewares, meta } = chain
  const next = (said?: Said) => {
    const made = said?.ctx ? { ...(ctx as object), ...said.ctx } : ctx
    const rest = { path, type, ctx: made, signal, batchIndex, getRawInput: said?.getRawInput ?? getRawInput }
    return runFrom(index + 1, chain, rest, said && 'input' in said ? said.input : input)
  }
  try {
    const middleware = middlewares[index] as Middleware // undefined where a resolver calls next(): that fails below
    return await middleware({ path, type, ctx, signal, batchIndex, getRawInput, meta, input, next })
  } catch (thrown) {
    return { ok: false, error: getTRPCErrorFromUnknown(thrown), marker: 'middlewareMarker' }
  }
}

/**
 * An application may have put something of its own around a procedure, to keep people out, say: only one whose code is,
 * word for word, tRPC's is taken apart.
 */
function findChain(procedure: AnyTRPCProcedure): Chain | null {
  const { middlewares, meta }: Partial<Chain> = procedure._def // which tRPC's types don't tell of
  const bare = Array.isArray(middlewares) && sourceOf(procedure) === sourceOf(example)
  return bare ? { middlewares, meta } : null
}

const example = initTRPC.create({ allowOutsideOfServer: true }).procedure.query(() => null)

const sourceOf = (procedure: AnyTRPCProcedure) => Function.prototype.toString.call(procedure)
