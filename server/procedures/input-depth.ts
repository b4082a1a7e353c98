/**
 * How deep an input may be nested. Looked at between decoding and the transformer, where every carrier and codec
 * passes: decoders loop, but transformers and schemas call themselves for each level, and a stranger who sends
 * 100,000 of them would have the stack. And once more behind a transformer that may have made more of them: superjson
 * puts one part of its input in the place of another where it is told to, by which a few levels become many, or a circle.
 */
import { TRPCError } from '@trpc/server'
import type { AnyTRPCRouter } from '@trpc/server'
import { SluiceError } from '../../shared/errors.ts'
import { withConfig } from './router-view.ts'

/** A view of the router whose transformer refuses deeper inputs: `BAD_REQUEST`, by `INPUT_TOO_DEEP`. */
export function withInputDepth(router: AnyTRPCRouter, max: number, onRefused: () => void): AnyTRPCRouter {
  if (max === Number.MAX_SAFE_INTEGER) return router // no limit
  const { input, output } = router._def._config.transformer
  const check = (value: unknown): void => {
    if (!isDeeperThan(value, max)) return
    onRefused()
    const message = `The input is nested more than ${max} deep.`
    const cause = new SluiceError('INPUT_TOO_DEEP', message, { data: { limit: max } })
    throw new TRPCError({ code: 'BAD_REQUEST', message, cause })
  }
  const deserialize = (value: unknown): unknown => {
    check(value)
    const deserialized: unknown = input.deserialize(value)
    if (mayGrow(value)) check(deserialized)
    return deserialized
  }
  const transformer = {
    input: { serialize: (value: unknown): unknown => input.serialize(value), deserialize },
    output,
  }
  return withConfig(router, { transformer })
}

/** Whether a transformer may make more levels of it: superjson by references, and others by what they read in a text. */
function mayGrow(value: unknown): boolean {
  if (typeof value === 'string') return true
  const { meta } = (value ?? {}) as { readonly meta?: { readonly referentialEqualities?: unknown } | null }
  return meta?.referentialEqualities !== undefined
}

/** Most inputs are seen to be shallow at a glance; the others are walked. */
export function isDeeperThan(value: unknown, max: number): boolean {
  return !isSmall(value, Math.min(max, 4), { left: 32 }) && isDeeperByWalking(value, max)
}

/** Whether it ends within so many levels and branches: few, for it calls itself, and may meet one object often. */
function isSmall(value: unknown, levels: number, branches: { left: number }): boolean {
  if (!isBranch(value)) return true
  if (levels === 0 || --branches.left < 0) return false
  for (const child of childrenOf(value)) if (!isSmall(child, levels - 1, branches)) return false
  return true
}

/** Where a walk is. */
interface Step {
  readonly parent: object
  readonly branches: readonly object[]
  /** How many of them have been seen. */
  seen: number
  /** Levels below, as far as they have been seen. */
  below: number
}

/**
 * Each object once, though it may be met in many places or in itself, and with a list for a stack: so that neither depth
 * nor width costs more than it was to send. (350,000 empty lists in each of 60 levels: 0.14 s, where level by level it
 * was 4 s; Node 20.)
 */
function isDeeperByWalking(root: unknown, max: number): boolean {
  /** Of each object, itself included; what leads back to itself has no end. */
  const levels = new Map<object, number>()
  const way: Step[] = []
  const enter = (parent: object): number => {
    const branches = childrenOf(parent).filter(isBranch)
    levels.set(parent, branches.length > 0 ? Infinity : 1)
    if (branches.length > 0) way.push({ parent, branches, seen: 0, below: 0 })
    return branches.length > 0 ? 0 : 1
  }
  if (isBranch(root)) enter(root)
  for (let step = way.at(-1); step; step = way.at(-1)) {
    const branch = step.branches[step.seen++]
    if (branch) {
      const below = levels.get(branch) ?? enter(branch)
      if (way.length + below > max) return true
      step.below = Math.max(step.below, below)
    } else {
      way.pop()
      const below = step.below + 1
      levels.set(step.parent, below)
      const above = way.at(-1)
      if (above) above.below = Math.max(above.below, below)
    }
  }
  return false
}

function childrenOf(parent: object): unknown[] {
  if (parent instanceof Map) return [...parent.keys(), ...parent.values()]
  if (parent instanceof Set) return [...parent]
  if (parent instanceof Error) return Reflect.ownKeys(parent).map(key => Reflect.get(parent, key)) // also its cause
  return Object.values(parent)
}

/** Bytes are one value, however many there are. */
function isBranch(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)
}
