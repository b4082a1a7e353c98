/**
 * How deep an input may be nested. Looked at between decoding and the transformer, where every carrier and codec
 * passes: decoders loop, but transformers and schemas call themselves for each level, and a stranger who sends
 * 100,000 of them would have the stack. And once more behind a transformer that may have made more of them: superjson
 * puts one part of its input in the place of another where it is told to, by which a few levels become many, or a circle,
 * and a few values as many as one likes.
 */
import { TRPCError } from '@trpc/server'
import type { AnyTRPCRouter } from '@trpc/server'
import { SluiceError } from '../../shared/errors.ts'
import { withConfig } from './router-view.ts'

/**
 * How many values references may add to an input, each followed: lists of two references to the next such list are a
 * thousand million values after 30 levels, and whoever reads them all reads for ever.
 */
const maxRepeated = 1_000_000

/** A view of the router whose transformer refuses deeper inputs: `BAD_REQUEST`, by `INPUT_TOO_DEEP`. */
export function withInputDepth(router: AnyTRPCRouter, max: number, onRefused: () => void): AnyTRPCRouter {
  if (max === Number.MAX_SAFE_INTEGER) return router // no limit
  const { input, output } = router._def._config.transformer
  const check = (value: unknown, repeated = Infinity): void => {
    if (!isDeeperThan(value, max, repeated)) return
    onRefused()
    const message =
      repeated === Infinity || isDeeperThan(value, max)
        ? `The input is nested more than ${max} deep.`
        : `References make more than ${repeated} values more of the input than there are in it.`
    const cause = new SluiceError('INPUT_TOO_DEEP', message, { data: { limit: max } })
    throw new TRPCError({ code: 'BAD_REQUEST', message, cause })
  }
  const deserialize = (value: unknown): unknown => {
    check(value)
    const deserialized: unknown = input.deserialize(value)
    if (mayGrow(value)) check(deserialized, maxRepeated)
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

/**
 * Whether it has more levels, or more values than there are in it, by what is met in several places. Most inputs are seen
 * to be shallow at a glance; the others are walked.
 */
export function isDeeperThan(value: unknown, max: number, maxRepeated = Infinity): boolean {
  return !isSmall(value, Math.min(max, 4), { left: 32 }) && isDeeperByWalking(value, max, maxRepeated)
}

/** Whether it ends within so many levels and branches: few, for it calls itself, and may meet one object often. */
function isSmall(value: unknown, levels: number, branches: { left: number }): boolean {
  if (!isBranch(value)) return true
  if (levels === 0 || --branches.left < 0) return false
  for (const child of childrenOf(value)) if (!isSmall(child, levels - 1, branches)) return false
  return true
}

/** How much there is of an object, itself included. */
interface Extent {
  /** What leads back to itself has no end. */
  readonly levels: number
  readonly values: number
}

/** Where a walk is. */
interface Step {
  readonly parent: object
  readonly branches: readonly object[]
  /** How many of them have been seen. */
  seen: number
  /** Levels below, and values, as far as they have been seen. */
  below: number
  values: number
}

/**
 * Each object once, though it may be met in many places or in itself, and with a list for a stack: so that neither depth
 * nor width costs more than it was to send. (350,000 empty lists in each of 60 levels: 0.14 s, where level by level it
 * was 4 s; Node 20.)
 */
function isDeeperByWalking(root: unknown, maxLevels: number, maxRepeated: number): boolean {
  let walked = 0
  const extents = new Map<object, Extent>()
  const way: Step[] = []
  const enter = (parent: object): Extent => {
    const children = childrenOf(parent)
    const branches = children.filter(isBranch)
    const values = 1 + children.length - branches.length
    walked += values
    const isLeaf = branches.length === 0
    extents.set(parent, { levels: isLeaf ? 1 : Infinity, values })
    if (isLeaf) return { levels: 1, values }
    way.push({ parent, branches, seen: 0, below: 0, values })
    return { levels: 0, values: 0 } // which its own step will tell
  }
  if (isBranch(root)) enter(root)
  for (let step = way.at(-1); step; step = way.at(-1)) {
    const branch = step.branches[step.seen++]
    if (branch) {
      const { levels, values } = extents.get(branch) ?? enter(branch)
      step.values += values
      if (way.length + levels > maxLevels || step.values > walked + maxRepeated) return true
      step.below = Math.max(step.below, levels)
    } else {
      way.pop()
      const extent = { levels: step.below + 1, values: step.values }
      extents.set(step.parent, extent)
      const above = way.at(-1)
      if (!above) continue
      above.below = Math.max(above.below, extent.levels)
      above.values += extent.values
      if (above.values > walked + maxRepeated) return true
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
